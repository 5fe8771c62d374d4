"""Measured grids: every config of a space, truly measured at several batches, and its replay.

Between measured batches, memory and step time are interpolated; above the last batch that fitted,
memory follows the last slope. So every method meets the same device, without any noise of its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from optimizer.budgets import Objective
from optimizer.records import config_key
from probes.job import BRACKET_PLAN, CONFIRM_PLAN
from probes.max_batch import Ask
from probes.measurement import Config, Measurement, Purpose, StepTime, Verdict
from probes.model_size import ModelSize
from probes.space import Space, dimension_from_dict, grid

DATA = Path(__file__).with_name("data")
BRACKET_STEPS = BRACKET_PLAN.max_steps
CONFIRM_STEPS = CONFIRM_PLAN.warmup_steps + CONFIRM_PLAN.measure_steps


@dataclass(frozen=True)
class Question:
    """What is asked of a grid."""

    longest_step_s: float | None
    """The window; ``None`` for none."""
    objective: Objective = Objective.THROUGHPUT


@dataclass(frozen=True)
class Point:
    """One measured batch size of a config that fitted."""

    batch_size: int
    peak_bytes: int
    step_s: float


@dataclass
class Grid:
    """A workload's space, measured."""

    workload: str
    space: Space
    cap_bytes: int
    ceiling: int
    """Batches are not larger: the data set, or what was said."""
    parameters: dict[str, int] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)
    """By config, as JSON, ascending in the batch."""
    machine: dict[str, Any] = field(default_factory=dict)

    @property
    def configs(self) -> list[Config]:
        return grid(self.space) or []

    def peak_bytes(self, config: Config, batch_size: int) -> float:
        points = self.points[name(config)]
        return _between(batch_size, [(p.batch_size, float(p.peak_bytes)) for p in points])

    def step_s(self, config: Config, batch_size: int) -> float:
        points = self.points[name(config)]
        return max(1e-6, _between(batch_size, [(p.batch_size, p.step_s) for p in points]))

    def max_batch(self, config: Config, longest_step_s: float | None) -> int:
        """The truth, by bisection; 0 when not even one sample fits."""

        def fits(batch_size: int) -> bool:
            slow = longest_step_s is not None and self.step_s(config, batch_size) > longest_step_s
            return not slow and self.peak_bytes(config, batch_size) <= self.cap_bytes

        low, high = 0, self.ceiling + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if fits(middle) else (low, middle)
        return low

    def throughput(self, config: Config, longest_step_s: float | None) -> float:
        """Samples per second at the true maximum batch."""
        batch_size = self.max_batch(config, longest_step_s)
        return batch_size / self.step_s(config, batch_size) if batch_size else 0.0

    def capacity(self, config: Config, longest_step_s: float | None) -> int:
        """Parameters; 0 where not even one sample fits."""
        return self.parameters[name(config)] if self.max_batch(config, longest_step_s) else 0

    def size_of(self, config: Config) -> ModelSize:
        count = self.parameters[name(config)]
        return ModelSize(count, float(count))


def _between(x: float, points: Sequence[tuple[int, float]]) -> float:
    """On the line through the two neighbours, or through the last two."""
    if len(points) == 1:
        return points[0][1] * x / points[0][0]
    k = next((i for i in range(1, len(points)) if points[i][0] >= x), len(points) - 1)
    (x1, y1), (x2, y2) = points[k - 1], points[k]
    return y1 + (y2 - y1) * (x - x1) / (x2 - x1)


def name(config: Mapping[str, Any]) -> str:
    return json.dumps(dict(sorted(config.items())))


class Replay:
    """A probe function over a grid that adds up what it costs. One per search."""

    def __init__(self, measured: Grid) -> None:
        self.grid = measured
        self.probes = 0
        self.device_s = 0.0
        """Time in training steps; starting a process is left out, which favours many probes."""
        self.confirmed: list[tuple[float, int, Config, int]] = []
        """(device seconds, probes, config, batch) whenever a confirmation passed."""

    def __call__(self, config: Config, ask: Ask) -> Measurement:
        steps = BRACKET_STEPS if ask.purpose is Purpose.BRACKET else CONFIRM_STEPS
        return self.run(config, ask.batch_size, steps, ask.purpose)

    def run(self, config: Config, batch_size: int, steps: int, purpose: Purpose) -> Measurement:
        peak = self.grid.peak_bytes(config, batch_size)
        step_s = self.grid.step_s(config, batch_size)
        fits = peak <= self.grid.cap_bytes
        ran = steps if fits else 1  # what does not fit fails in its first step
        self.probes += 1
        self.device_s += ran * step_s
        if fits and purpose is Purpose.CONFIRM:
            self.confirmed.append((self.device_s, self.probes, config, batch_size))
        timing = StepTime(
            step_s, step_s, step_s * 0.99, step_s * 1.01, step_s, step_s, ran, 4, True, 0
        )
        return Measurement(
            workload=self.grid.workload,
            config=config,
            batch_size=batch_size,
            device="replayed",
            purpose=purpose,
            verdict=Verdict.STABLE if fits else Verdict.OOM,
            reason="" if fits else "out of memory",
            limit_bytes=self.grid.cap_bytes,
            cap_bytes=self.grid.cap_bytes,
            peak_bytes=int(peak) if fits else None,
            static_bytes=int(self.grid.peak_bytes(config, 1)) if fits else None,
            step_time=timing if fits else None,
            steps=ran,
            samples=ran * batch_size,
            parameters=self.grid.parameters[name(config)],
        )


def load(which: str) -> Grid:
    data = json.loads((DATA / f"{which}.json").read_text())
    space = {n: dimension_from_dict(d) for n, d in data["space"].items()}
    points = {c: [Point(*p) for p in ps] for c, ps in data["points"].items()}
    return Grid(
        data["workload"], space, data["cap_bytes"], data["ceiling"],
        data["parameters"], points, data["machine"],
    )  # fmt: skip


def save(which: str, measured: Grid) -> Path:
    from probes.space import dimension_to_dict

    DATA.mkdir(exist_ok=True)
    document = {
        **asdict(measured),
        "space": {n: dimension_to_dict(d) for n, d in measured.space.items()},
        "points": {
            c: [[p.batch_size, p.peak_bytes, p.step_s] for p in ps]
            for c, ps in measured.points.items()
        },
    }
    file = DATA / f"{which}.json"
    file.write_text(json.dumps(document, indent=1) + "\n")
    return file


def is_known(measured: Grid, config: Config) -> bool:
    return any(config_key(json.loads(c)) == config_key(config) for c in measured.points)
