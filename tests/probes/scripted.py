"""A scripted device: memory and time as functions of the batch, for tests of pure logic."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from probes.max_batch import Ask
from probes.measurement import Measurement, Purpose, StepTime, Verdict

MIB = 2**20


@dataclass
class ScriptedDevice:
    """Answers asks the way a worker would, from two functions of the batch size."""

    memory: Callable[[int], float] = lambda b: (100 + 10 * b) * MIB
    """Peak in bytes."""
    step_s: Callable[[int], float] = lambda b: 0.01 + 0.001 * b
    cap_bytes: int = 1000 * MIB
    static_bytes: int = 100 * MIB
    faults: Callable[[int, Purpose], Verdict | None] = lambda b, p: None
    """Verdict forced for a batch, besides memory."""
    noise: float = 0.0
    seed: int = 0
    asked: list[tuple[int, str]] = field(default_factory=list)

    def __call__(self, ask: Ask) -> Measurement:
        random_ = random.Random(f"{self.seed}-{len(self.asked)}")
        self.asked.append((ask.batch_size, str(ask.purpose)))
        peak = self.memory(ask.batch_size) * (1 + random_.uniform(-self.noise, self.noise))
        verdict, reason = Verdict.STABLE, ""
        if peak > self.cap_bytes:
            verdict, reason = Verdict.OOM, "out of memory"
        forced = self.faults(ask.batch_size, ask.purpose)
        if forced is not None:
            verdict, reason = forced, f"scripted {forced}"
        ran = verdict is Verdict.STABLE
        time_s = self.step_s(ask.batch_size)
        steps = 28 if ask.purpose is Purpose.CONFIRM else 4
        failed_after = 1 if forced is None else steps
        return Measurement(
            workload="scripted",
            config={},
            batch_size=ask.batch_size,
            device="scripted",
            purpose=ask.purpose,
            verdict=verdict,
            reason=reason,
            cap_bytes=self.cap_bytes,
            peak_bytes=int(peak) if ran else None,
            static_bytes=self.static_bytes if ran else None,
            step_time=StepTime(
                time_s, time_s, time_s * 0.99, time_s * 1.01, time_s, time_s, steps, 4, True, 0.0
            )
            if ran
            else None,
            steps=steps if ran else failed_after,
            samples=(steps if ran else failed_after) * ask.batch_size,
        )
