"""One question to a simulated fleet: the truth, and what the product's own choice comes to."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.fleet_answer.fleets import Device, SimulatedClass
from benchmarks.search.grids import name
from optimizer.fleet.candidate import Reading
from optimizer.fleet.choose import Limits, Prefer, choose
from optimizer.fleet.cost import Amounts, Option, Prices
from optimizer.fleet.settle import Fleet, next_probe, options_of
from probes.max_batch import Bounds, MaxBatchSearch, run_search
from probes.measurement import Config
from probes.prior import Prior

SAMPLES = 1_000_000
SHARE = 1 / 3
"""Of the probes of measuring everything: more are not run."""
MOST_OF_A_SEARCH = 8
"""Probes that the next search may take."""


@dataclass(frozen=True)
class Asked:
    """The question."""

    workload: str
    configs: Sequence[Config]
    """Any of them will do."""
    deadline_s: float | None


@dataclass
class Outcome:
    """What came of it."""

    best_cost: float | None
    """Of the truth, over every class and config; ``None`` where nothing meets the deadline."""
    cost: float | None = None
    """The true cost of what was chosen; ``None`` where nothing was."""
    is_late: bool = False
    """Whether what was chosen truly misses the deadline."""
    probes: int = 0
    pairs: int = 0
    """Pairs of class and config that were measured."""
    everything: int = 0
    """Probes of measuring everything."""
    every_pair: int = 0
    device_s: float = 0.0
    everything_s: float = 0.0
    is_settled: bool = False
    searches: list[int] = field(default_factory=list)
    """Probes of each search away from the first class."""

    @property
    def regret(self) -> float | None:
        """Relative; ``None`` where there is nothing to choose, or nothing was chosen."""
        if self.cost is None or self.best_cost is None:
            return None
        return self.cost / self.best_cost - 1


def true_cost(of: SimulatedClass, asked: Asked, config: Config, batch_size: int) -> float:
    return training_s(of, asked, config, batch_size) * of.price_per_hour / 3600


def training_s(of: SimulatedClass, asked: Asked, config: Config, batch_size: int) -> float:
    steps = -(-SAMPLES // batch_size)
    return steps * of.grids[asked.workload].step_s(config, batch_size)


def measure_everything(
    classes: Sequence[SimulatedClass], asked: Asked, chance: random.Random
) -> tuple[float | None, int, float]:
    """The lowest true cost that meets the deadline, and the probes and seconds that it takes to
    search the largest batch of every config on every class."""
    best: float | None = None
    probes, seconds = 0, 0.0
    for each in classes:
        device = Device(each, asked.workload, chance)
        for config in asked.configs:
            batch_size = _largest(device, config).batch_size
            if not batch_size:
                continue
            takes = training_s(each, asked, config, batch_size)
            if asked.deadline_s is None or takes <= asked.deadline_s:
                cost = true_cost(each, asked, config, batch_size)
                best = cost if best is None else min(best, cost)
        probes += device.probes
        seconds += device.device_s
    return best, probes, seconds


def answer(
    classes: Sequence[SimulatedClass],
    asked: Asked,
    history: Sequence[Reading],
    chance: random.Random,
) -> Outcome:
    """One class has a study of the workload; the rest is the product's own strategy."""
    best, everything, everything_s = measure_everything(classes, asked, chance)
    outcome = Outcome(
        best, everything=everything, every_pair=len(classes) * len(asked.configs),
        everything_s=everything_s,
    )  # fmt: skip
    devices = {each.known.id: Device(each, asked.workload, chance) for each in classes}
    here = devices[chance.choice([each.known.id for each in classes])]
    for config in asked.configs:
        _largest(here, config)
        outcome.pairs += 1
    failed: set[tuple[str, str]] = set()
    tried: set[str] = set()
    limits = Limits(asked.deadline_s)
    wanted = {name(config) for config in asked.configs}
    while True:
        readings = [r for device in devices.values() for r in device.readings]
        fleet = Fleet(
            [each.known for each in classes],
            [*readings, *history],
            asked.workload,
            {each.known.id: Prices(per_hour=each.price_per_hour) for each in classes},
            {},
            lambda r: name(r.work.config) in wanted and (r.class_id, r.work.key) not in failed,
        )
        options = options_of(fleet, Amounts(samples=SAMPLES))
        found = choose(options, limits, Prefer.CHEAPEST)
        probe = next_probe(fleet, options, limits, Prefer.CHEAPEST, answer=found, seen=tried)
        outcome.probes = sum(device.probes for device in devices.values())
        if probe is None or outcome.probes + MOST_OF_A_SEARCH > SHARE * everything:
            outcome.is_settled = probe is None
            break
        device, config = devices[probe.class_id], dict(probe.reading.work.config)
        before = device.probes
        search = _largest(device, config, _peaks(readings, probe.reading.work.key))
        outcome.searches.append(device.probes - before)
        outcome.pairs += 1
        if not search.batch_size:
            failed.add((probe.class_id, probe.reading.work.key))
            tried.add(probe.class_id)
    outcome.device_s = sum(device.device_s for device in devices.values())
    if found.chosen is not None:
        _judge(outcome, found.chosen, classes, asked)
    return outcome


def _judge(
    outcome: Outcome, chosen: Option, classes: Sequence[SimulatedClass], asked: Asked
) -> None:
    of = next(each for each in classes if each.known.id == chosen.class_id)
    reading = chosen.candidate.reading
    config = dict(reading.work.config)
    outcome.cost = true_cost(of, asked, config, reading.batch_size)
    takes = training_s(of, asked, config, reading.batch_size)
    outcome.is_late = asked.deadline_s is not None and takes > asked.deadline_s


@dataclass(frozen=True)
class _Found:
    batch_size: int


def _largest(device: Device, config: Config, peaks: Prior | None = None) -> _Found:
    """The product's search of the largest stable batch."""
    search = MaxBatchSearch(Bounds(cap=device.grid.ceiling), prior=peaks)
    found = run_search(search, lambda ask: device(config, ask))
    return _Found(found.max_batch or 0)


def _peaks(readings: Sequence[Reading], key: str) -> Prior | None:
    """Memory of a config at the batches that ran elsewhere, as the product's search is told."""
    points: list[tuple[int, int]] = []
    for reading in sorted(readings, key=lambda r: r.batch_size):
        if reading.work.key == key and (not points or reading.batch_size > points[-1][0]):
            highest = points[-1][1] if points else 0
            points.append((reading.batch_size, max(highest, reading.peak_bytes)))
    return Prior(points) if len(points) > 1 else None
