"""How long a process that trains may be silent before it counts as hung."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

STEP_PATIENCE = 20
FIRST_STEP_PATIENCE = 5
"""The first steps compile kernels and choose algorithms: they get this multiple of ``step_s``."""
EXIT_S = 10.0
"""How long a worker may take to exit after its result, before it is killed."""

Progress = Callable[[dict[str, Any]], None]
"""Called with each progress message: ``phase``, ``step``, ``of`` and whatever else is known."""


@dataclass(frozen=True)
class Timeouts:
    """Limits on silence and on the whole job. Seconds."""

    startup_s: float = 180.0
    """Interpreter, imports, building the model."""
    step_s: float = 60.0
    """One training step; raised to ``STEP_PATIENCE`` times the last step seen."""
    probe_s: float = 1800.0
    """The whole job."""

    def allowed_step_s(self, last_step_s: float) -> float:
        return max(self.step_s, STEP_PATIENCE * last_step_s)


class Patience:
    """How much longer to wait, given the last message from the worker."""

    def __init__(self, timeouts: Timeouts, began_s: float) -> None:
        self.timeouts = timeouts
        self.began_s = began_s
        self.heard_s = began_s
        self.phase = "start"
        self.step = 0
        self.step_s: float | None = None

    def heard(self, message: Mapping[str, Any], now_s: float) -> None:
        self.heard_s = now_s
        self.phase = str(message.get("phase", self.phase))
        self.step = int(message.get("step", self.step))
        if message.get("step_s") is not None:
            self.step_s = float(message["step_s"])

    def allowed_s(self) -> float:
        if self.phase == "exit":
            return EXIT_S
        if self.phase in ("start", "import", "build"):
            return self.timeouts.startup_s
        if self.step_s is None:
            return self.timeouts.step_s * FIRST_STEP_PATIENCE
        return self.timeouts.allowed_step_s(self.step_s)

    def remaining_s(self, now_s: float) -> float:
        whole_s = self.timeouts.probe_s - (now_s - self.began_s)
        return min(self.allowed_s() - (now_s - self.heard_s), whole_s)

    def words(self) -> str:
        """What took too long, to stand after "it was"."""
        now_s = time.monotonic()
        if now_s - self.began_s >= self.timeouts.probe_s:
            return f"still in phase {self.phase!r} after {self.timeouts.probe_s:.0f} s"
        where = f"phase {self.phase!r}"
        if self.phase == "train":
            where += f", step {self.step + 1}"
        return f"silent for {self.allowed_s():.0f} s in {where}"
