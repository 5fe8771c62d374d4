"""Simulated fleets: classes that run a measured grid faster or slower, with less or more memory.

A class differs from the machine that measured the grid by a speed, by a fixed time per step (kernel
launches), by how much it gains from bf16 and from wide models, by an effect of its own for every
config, and by its memory. So no class is a plain multiple of another one.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.search.grids import Grid, Point, Replay
from optimizer.fleet.amount import Amount
from optimizer.fleet.candidate import FleetClass, Reading, Work
from probes.measurement import Config, Measurement, Purpose

NOISE = 0.01
"""Standard deviation of a measured step time, as a fraction."""
HALF_WIDTH = 0.02
"""Of the interval that a measurement reports: about 95 %."""
MEMORY_NOISE = 0.01
OF_ONE_CONFIG = 0.10
"""Standard deviation of what a class makes of a single config, in logarithms."""
SIZES = (0.25, 0.5, 1.0, 1.0, 2.0, 4.0)
"""Memory of a class in multiples of that which the grid was measured with."""


@dataclass(frozen=True)
class SimulatedClass:
    """A device class, and the truth about it."""

    known: FleetClass
    grids: dict[str, Grid]
    """By workload: what it really does."""
    price_per_hour: float


class Device(Replay):
    """One device of a class: probes are noisy, and counted."""

    def __init__(self, of: SimulatedClass, workload: str, chance: random.Random) -> None:
        super().__init__(of.grids[workload])
        self.of = of
        self.chance = chance
        self.readings: list[Reading] = []

    def run(self, config: Config, batch_size: int, steps: int, purpose: Purpose) -> Measurement:
        found = super().run(config, batch_size, steps, purpose)
        if found.step_time is None:
            return found
        mean = found.step_time.mean_s * math.exp(self.chance.gauss(0, NOISE))
        low, high = mean * (1 - HALF_WIDTH), mean * (1 + HALF_WIDTH)
        timing = replace(found.step_time, mean_s=mean, median_s=mean, low_s=low, high_s=high)
        found = replace(found, step_time=timing)
        self.readings.append(
            Reading(
                self.of.known.id,
                Work(self.grid.workload, config),
                batch_size,
                Amount(mean, low, high),
                found.peak_bytes or 0,
                is_confirmed=purpose is Purpose.CONFIRM,
                parameters=found.parameters,
            )
        )
        return found


def fleet(grids: dict[str, Grid], chance: random.Random) -> list[SimulatedClass]:
    """Between five and twelve classes."""
    return [_made(number, grids, chance) for number in range(chance.randint(5, 12))]


def _made(number: int, grids: dict[str, Grid], chance: random.Random) -> SimulatedClass:
    speed = math.exp(chance.uniform(math.log(0.4), math.log(10.0)))
    launch_s = chance.uniform(0.0, 0.004)
    bf16, wide = chance.gauss(0.3, 0.35), chance.gauss(0.0, 0.12)
    size = chance.choice(SIZES)
    made = {}
    for workload, measured in grids.items():
        points = {}
        for text, ran in measured.points.items():
            own = math.exp(chance.gauss(0, OF_ONE_CONFIG)) * _suits(text, bf16, wide)
            memory = math.exp(chance.gauss(0, MEMORY_NOISE))
            points[text] = [
                Point(p.batch_size, int(p.peak_bytes * memory), launch_s + p.step_s / speed / own)
                for p in ran
            ]
        cap = int(measured.cap_bytes * size)
        made[workload] = replace(measured, points=points, cap_bytes=cap)
    cap_bytes = next(iter(made.values())).cap_bytes
    price = 0.8 * speed**0.8 * math.exp(chance.gauss(0, 0.35)) * size**0.15
    return SimulatedClass(FleetClass(f"class-{number}", f"class {number}", cap_bytes), made, price)


def _suits(text: str, bf16: float, wide: float) -> float:
    """How much faster the class is at a config than at others, because of what the config is."""
    config: dict[str, Any] = json.loads(text)
    width = config.get("hidden_channels") or config.get("hidden_size") or 1
    gain = wide * math.log2(width / 32)
    return math.exp(gain + (bf16 if config.get("precision") == "bf16" else 0.0))
