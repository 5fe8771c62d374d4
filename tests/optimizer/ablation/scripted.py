"""A scripted bench: memory, time and failures of each side as functions, with noise and drift."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from optimizer.ablation import Arm, At, Place, Quantity, Question
from probes.job import StepPlan
from probes.max_batch.bounds import Bounds
from probes.measurement import Measurement, StepTime, Verdict
from probes.prior import Prior
from probes.space import Choice, Space

MIB = 2**20


@dataclass
class ScriptedBench:
    """Answers probes of a lever ``lever`` that is ``False`` before and ``True`` after."""

    effect: float = 0.0
    """Relative change of the step time by the lever."""
    saving: float = 0.0
    """Share of the activations that the lever saves."""
    noise: float = 0.0
    """Standard deviation between processes, relative."""
    drift: float = 0.0
    """By which each probe is slower than the last, relative."""
    bursts: float = 0.0
    """Chance that a probe is slowed by 10 to 40 %."""
    verdict: Callable[[Arm, int], Verdict] = lambda arm, batch_size: Verdict.STABLE
    losses: Callable[[Arm, int], float] = lambda arm, seed: 1.0
    """By side and seed."""
    cap_bytes: int = 1024 * MIB
    held_bytes: int = 100 * MIB
    bytes_per_sample: int = 4 * MIB
    step_s: float = 0.2
    kind: str = "cpu"
    seed: int = 0
    tokens: Mapping[str, float] = field(default_factory=dict)
    """Tokens per sample, by side."""
    probed: list[tuple[str, int]] = field(default_factory=list)
    plans: list[StepPlan] = field(default_factory=list)

    place = property(lambda self: Place(self.kind, self.kind, "f" * 16, "0.0", "2.0"))
    bounds = property(lambda self: Bounds())

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    @property
    def space(self) -> Space:
        return {"lever": Choice([False, True])}

    def probe(self, arm: Arm, batch_size: int, plan: StepPlan) -> Measurement:
        self.probed.append((arm.name, batch_size))
        self.plans.append(plan)
        on = arm.config.get("lever", False)
        activations = batch_size * self.bytes_per_sample * (1 - self.saving * on)
        peak = int(self.held_bytes + activations)
        verdict = self.verdict(arm, batch_size)
        if verdict is Verdict.STABLE and peak > self.cap_bytes:
            verdict = Verdict.OOM
        ran = verdict is Verdict.STABLE
        return Measurement(
            workload="scripted",
            config=dict(arm.config),
            batch_size=batch_size,
            device=self.kind,
            purpose=plan.purpose,
            verdict=verdict,
            reason="" if ran else f"scripted {verdict}",
            cap_bytes=self.cap_bytes,
            peak_bytes=peak if ran else None,
            static_bytes=self.held_bytes if ran else None,
            step_time=self._step_time(on) if ran else None,
            steps=10,
            environment={"torch": "2.0"},
        )

    def prior(self, arm: Arm, ceiling: int) -> Prior:
        return Prior(reason="scripted")

    def call(self, function: str, arm: Arm, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if function.endswith("tokens_per_sample"):
            return {"tokens": self.tokens[arm.name]}
        value = self.losses(arm, arguments["seed"])
        return {"loss": value, "error": value}

    def _step_time(self, on: bool) -> StepTime:
        number = len(self.probed)
        slower = 1 + self.drift * number
        if self.random.random() < self.bursts:
            slower *= 1 + self.random.uniform(0.1, 0.4)
        mean = self.step_s * (1 + self.effect * on) * slower
        mean *= math.exp(self.random.gauss(0, self.noise))
        return StepTime(mean, mean, mean * 0.99, mean * 1.01, mean, mean, 10, 3, True, 0.0)


def question(
    quantity: Quantity = Quantity.STEP_TIME,
    low: float | None = None,
    high: float | None = None,
    **changes: Any,
) -> Question:
    """A claim about ``lever``."""
    made = Question(
        claim=f"Heuristic:Scripted#{quantity}",
        page="Heuristic:Scripted",
        text="as scripted",
        before={"lever": False},
        after={"lever": True},
        quantity=quantity,
        low=low,
        high=high,
        workload="scripted",
        at=At.SAME_BATCH,
        batch_size=16,
    )
    return replace(made, **changes)
