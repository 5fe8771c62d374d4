"""Micro-batches of different sizes for ranks that carry different amounts: measured, and offered
beside the even answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from app.machine.session import MeasuringSession
from probes.max_batch.bounds import Bounds
from probes.max_batch.result import MaxBatch
from probes.measurement import Config, Measurement, Purpose
from probes.ranks.uneven import Uneven, UnevenSearch

RANK_BATCHES = "rank_batches"
"""What the config of such a measurement says beside its own: it is no answer to what an even batch
does."""


def measure_uneven(
    bench: MeasuringSession,
    config: Config,
    bounds: Bounds,
    answer: MaxBatch,
    keep: Callable[[Measurement], object],
) -> Uneven | None:
    """The division by what each rank carries, confirmed; ``None`` where the even one is about as
    good, or where the samples of an optimizer step are stated, which ranks share evenly.

    ``keep`` stores each measurement.
    """
    group = bench.group
    data_parallel = group.data_parallel(config) if group is not None else 1
    if group is None or data_parallel != group.size or bench.effective_batch_size is not None:
        return None
    search = UnevenSearch(answer, bounds.ceiling)
    while (sizes := search.ask()) is not None:
        plan = bench.plan(Purpose.CONFIRM)
        measurement = bench.probe(config, max(sizes), plan, batch_sizes=sizes)
        keep(replace(measurement, config={**config, RANK_BATCHES: list(sizes)}))
        search.tell(measurement)
    return search.found
