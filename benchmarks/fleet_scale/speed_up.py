"""How much sooner a study ends on two devices, by a simulated clock.

The search is the product's, with its claims; a device is a script (memory and step time as
functions of config and batch), and a probe takes as long as its steps and the start of its process.
What the search itself computes takes no simulated time.
"""

from __future__ import annotations

import random
import statistics
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from benchmarks.fleet_scale.simulated import SimulatedClock
from optimizer.budgets import Budget, Objective
from optimizer.limits import SearchLimits
from optimizer.outcome import Outcome
from optimizer.proposals import Sampler
from optimizer.records import Key, Trial, config_key
from optimizer.study import Study
from probes.max_batch import Ask
from probes.measurement import Config, Measurement, Purpose
from probes.space import Choice, Space
from tests.optimizer.memory_store import MemoryStore, ScriptedFleet, spec
from tests.probes.scripted import MIB, ScriptedDevice

START_S = 5.0
"""Seconds that the process of a probe takes to start."""
CEILING = 4096
SPACE: Space = {
    "layers": Choice([1, 2, 3, 4, 6, 8]),
    "width": Choice([32, 64, 128, 256]),
    "activation": Choice(["relu", "gelu"]),
}
TRIALS = 20


@dataclass(frozen=True)
class Case:
    """A kind of study."""

    title: str
    budget: Budget
    sampler: Sampler


WINDOW = Budget("prototyping", 450 * 0.2, 450 * 0.05, trials=TRIALS, most_capable=False)
NO_WINDOW = Budget("smoke_test", None, 0.0, trials=TRIALS, most_capable=False)
LARGEST = Budget(
    "production", 450 * 0.2, 450 * 0.05, trials=TRIALS, objective=Objective.CAPACITY,
    most_capable=False,
)  # fmt: skip
CASES = (
    Case("random, window", WINDOW, Sampler.RANDOM),
    Case("tpe, window", WINDOW, Sampler.TPE),
    Case("predictive, window", WINDOW, Sampler.PREDICTIVE),
    Case("predictive, no window", NO_WINDOW, Sampler.PREDICTIVE),
    Case("predictive, largest model", LARGEST, Sampler.PREDICTIVE),
)


def device(seed: int) -> Callable[[Config], ScriptedDevice]:
    """A device of its own for each seed: memory and speed differ, and each config a little more."""
    chance = random.Random(seed)
    memory, speed = chance.uniform(0.7, 1.4), chance.uniform(0.7, 1.4)

    def of(config: Config) -> ScriptedDevice:
        own = random.Random(f"{seed}-{sorted(config.items())}").uniform(0.9, 1.1)
        layers, width = config["layers"], config["width"]
        per_sample = memory * own * layers * width / 256
        return ScriptedDevice(
            memory=lambda b: (20 + 0.02 * layers * width + per_sample * b) * MIB,
            static_bytes=20 * MIB,
            step_s=lambda b: speed * own * (0.004 * layers + 2e-6 * b * layers * width**0.9),
        )

    return of


@dataclass
class Shared:
    """What the devices of one study see."""

    store: MemoryStore = field(default_factory=MemoryStore)
    claims: dict[Key, tuple[int, Config]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class View(MemoryStore):
    """The store as one device sees it."""

    def __init__(self, shared: Shared, owner: int) -> None:
        super().__init__()
        self.shared, self.owner = shared, owner
        self.kept, self.settled = shared.store.kept, shared.store.settled

    def claim(self, config: Config) -> int | None:
        holder, _ = self.shared.claims.setdefault(config_key(config), (self.owner, config))
        return self.shared.store.claim(config) if holder == self.owner else None

    def busy(self) -> list[Config]:
        return [config for holder, config in self.shared.claims.values() if holder != self.owner]

    def add_trial(self, trial: Trial) -> None:
        self.settled[:] = [t for t in self.settled if t.config != trial.config] + [trial]
        self.shared.claims.pop(config_key(trial.config), None)


@dataclass(frozen=True)
class Run:
    """A study on some devices."""

    makespan_s: float
    probes: int
    repeated: int
    outcome: Outcome


def run(case: Case, seed: int, devices: int) -> Run:
    """One study, to its end."""
    clock, shared = SimulatedClock(), Shared()
    of = device(seed)
    fleets = [ScriptedFleet(of) for _ in range(devices)]

    def work(number: int) -> Callable[[], Outcome]:
        def probe(config: Config, ask: Ask) -> Measurement:
            measurement = fleets[number](config, ask)
            step_s = of(config).step_s(ask.batch_size)
            steps = 28 if ask.purpose is Purpose.CONFIRM else 8
            clock.sleep(START_S + step_s * (steps if measurement.passed else 1))
            return measurement

        def search() -> Outcome:
            from dataclasses import replace

            return Study(
                replace(spec(case.budget, SPACE), seed=seed),
                f"st_{seed}",
                View(shared, number),
                probe,
                limits=SearchLimits(CEILING),
                sampler=case.sampler,
                sleep=clock.sleep,
            ).run()

        return search

    outcomes = clock.run([work(number) for number in range(devices)])
    calls = Counter(call for fleet in fleets for call in fleet.calls)
    return Run(
        clock.now_s,
        sum(calls.values()),
        sum(calls.values()) - len(calls),
        outcomes[0],
    )


def measure(case: Case, seeds: int) -> dict[str, Any]:
    """Two devices against one, on the same seeds."""
    ratios, probes, same, quality, repeated = [], [], 0, [], 0
    for seed in range(seeds):
        one, two = run(case, seed, 1), run(case, seed, 2)
        ratios.append(two.makespan_s / one.makespan_s)
        probes.append(two.probes / one.probes)
        repeated += two.repeated
        alone, together = one.outcome.recommendation, two.outcome.recommendation
        if alone is None or together is None:
            same += alone is together
            continue
        same += alone.config == together.config
        quality.append(together.throughput_samples_per_s / alone.throughput_samples_per_s)
    return {
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_worst": round(max(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "probes_ratio_median": round(statistics.median(probes), 3),
        "same_config": f"{same} of {seeds}",
        "throughput_against_one_device_least": round(min(quality, default=1.0), 3),
        "probes_repeated": repeated,
    }
