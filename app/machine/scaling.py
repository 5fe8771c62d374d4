"""How much faster several devices are than one of them: one rank alone is measured for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from app.machine.session import QUIET_WAIT_S, MeasuringSession
from probes.doubt import is_better
from probes.errors import TonnageError
from probes.job import BRACKET_PLAN
from probes.levers import PARALLEL_LEVERS
from probes.measurement import Config, Measurement

PLAN = replace(
    BRACKET_PLAN,
    warmup_steps=3,
    max_warmup_steps=10,
    measure_steps=8,
    max_measure_steps=60,
    measure_budget_s=5.0,
    half_width=0.03,
    phases=False,
)
"""Enough steps for a step time; what it needs of memory is not asked."""

Keep = Callable[[MeasuringSession, Measurement], object]
"""Stores a measurement of the session of one rank."""


@dataclass(frozen=True)
class Scaling:
    """The throughput of a group against that of one of its ranks at the same micro-batch."""

    ranks: int
    speedup: float
    """Samples per second of the group over those of one rank."""
    efficiency: float
    """``speedup`` over the number of ranks."""
    single_step_s: float
    """Mean step time of one rank alone. Seconds."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class ScalingAnswer:
    """The figure, or why there is none."""

    scaling: Scaling | None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """``scaling`` and ``scaling_note``, as the documents have them."""
        figure = None if self.scaling is None else self.scaling.to_dict()
        return {"scaling": figure, "scaling_note": self.note}


def measure_scaling(bench: MeasuringSession, run: Measurement, keep: Keep) -> ScalingAnswer:
    """Measure one rank alone at the micro-batch of ``run``, with as many threads, and compare.

    ``run`` is the confirmed run of the session's group. A rank that cannot train alone is an
    answer: the note says why. Nothing is raised for it.
    """
    try:
        alone = bench.of_one_rank(run)
        config = config_of_one(run.config)
        single = alone.probe(config, run.batch_size, PLAN)
        if single.tainted:
            bench.target.telemetry.wait_for_quiet(QUIET_WAIT_S)
            again = alone.probe(config, run.batch_size, PLAN)
            if not again.tainted or is_better(again, single):
                single = again
        keep(alone, single)
    except TonnageError as error:
        return ScalingAnswer(None, f"One rank alone could not be measured: {error}")
    return compared(run, single)


def compared(run: Measurement, single: Measurement) -> ScalingAnswer:
    """The group's throughput over one rank's."""
    if not single.passed or single.step_time is None:
        return ScalingAnswer(
            None,
            f"No scaling figure: one rank alone does not train with batch {single.batch_size} "
            f"({single.verdict}): {single.reason}",
        )
    if run.step_time is None:
        return ScalingAnswer(None, "No scaling figure: the ranks' step time is not known.")
    together = run.effective_batch_size / run.step_time.mean_s
    one = single.effective_batch_size / single.step_time.mean_s
    ranks = len(run.ranks)
    speedup = together / one
    disturbed = [*run.tainted, *single.tainted]
    note = f"The figure is uncertain, the machine was disturbed: {'; '.join(disturbed)}"
    return ScalingAnswer(
        Scaling(ranks, speedup, speedup / ranks, single.step_time.mean_s),
        note if disturbed else "",
    )


def config_of_one(config: Config) -> Config:
    """The config as one rank trains it: nothing is divided among tensor-parallel ranks."""
    if "parallel" not in config:
        return dict(config)
    if config["parallel"] == "tp":
        kept = {name: value for name, value in config.items() if name not in PARALLEL_LEVERS}
        return {**kept, "parallel": "ddp"}
    return {name: value for name, value in config.items() if name != "tensor_parallel"}
