"""How long a process that trains may be silent before it counts as hung."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

STEP_PATIENCE = 20
FIRST_STEP_PATIENCE = 5
"""The first steps compile kernels and choose algorithms: they get this multiple of ``step_s``, or
of the longest first step of the same config."""
EXPECTED_PATIENCE = 50
"""A step whose duration is expected from other batches gets this multiple of it."""
EXPECTED_SHARE = 1 / 3
"""It gets at least this share of ``step_s``."""
EXIT_S = 10.0
"""How long a worker may take to exit after its result, before it is killed."""

Progress = Callable[[dict[str, Any]], None]
"""Called with each progress message: ``phase``, ``step``, ``of`` and whatever else is known."""


@dataclass(frozen=True)
class ExpectedStep:
    """How long a step of a probe should take, from other probes of the same config. Seconds."""

    step_s: float
    first_s: float
    """The first step of a process."""
    measured_s: float
    """The measured step time that this follows from."""
    measured_at: int
    """The batch size of that measurement."""

    def words(self) -> str:
        return (
            f"where a step should take about {self.step_s:.2g} s (at batch {self.measured_at} it "
            f"took {self.measured_s:.2g} s)"
        )


@dataclass(frozen=True)
class Timeouts:
    """Limits on silence and on the whole job. Seconds."""

    startup_s: float = 180.0
    """Interpreter, imports, building the model."""
    step_s: float = 60.0
    """One training step; raised to ``STEP_PATIENCE`` times the last step seen, and lowered where
    a step's duration is expected."""
    probe_s: float = 1800.0
    """The whole job."""

    def expected_step_s(self, expected: ExpectedStep, steps: int = 1) -> float:
        """The limit for this many steps whose duration is expected; may be above ``step_s``."""
        return max(EXPECTED_SHARE * self.step_s, EXPECTED_PATIENCE * steps * expected.step_s)

    def allowed_step_s(self, last_step_s: float, expected: ExpectedStep | None = None) -> float:
        """The limit for a step after one that took ``last_step_s``."""
        usual_s = self.step_s
        if expected is not None:
            usual_s = min(usual_s, self.expected_step_s(expected))
        return max(usual_s, STEP_PATIENCE * last_step_s)

    def allowed_first_step_s(self, expected: ExpectedStep | None = None) -> float:
        """The limit for the first step of a process."""
        usual_s = FIRST_STEP_PATIENCE * self.step_s
        if expected is None:
            return usual_s
        longest_s = FIRST_STEP_PATIENCE * expected.first_s
        return min(usual_s, max(self.expected_step_s(expected), longest_s))


def hint(expected: ExpectedStep | None) -> str:
    """What to do about a time-out of a process that was working."""
    if expected is None:
        return "If it was working, raise probe.step_timeout_s or probe.startup_timeout_s."
    return (
        "If it was working, raise probe.step_timeout_s: a step whose duration is known from other "
        f"batches may take {EXPECTED_PATIENCE} times as long, and at least a third of that setting."
    )


class Patience:
    """How much longer to wait, given the last message from the worker."""

    def __init__(
        self, timeouts: Timeouts, began_s: float, expected: ExpectedStep | None = None
    ) -> None:
        self.timeouts = timeouts
        self.expected = expected
        self.began_s = began_s
        self.heard_s = began_s
        self.phase = "start"
        self.step = 0
        self.step_s: float | None = None

    def heard(self, message: Mapping[str, Any], now_s: float) -> None:
        """Note a message of the worker, with its ``phase``, ``step`` and ``step_s``. ``now_s`` is
        in seconds on the monotonic clock."""
        self.heard_s = now_s
        self.phase = str(message.get("phase", self.phase))
        self.step = int(message.get("step", self.step))
        if message.get("step_s") is not None:
            self.step_s = float(message["step_s"])

    def allowed_s(self) -> float:
        """Seconds that may pass until the next message in this phase."""
        if self.phase == "exit":
            return EXIT_S
        if self.phase in ("start", "import", "join", "build"):
            return self.timeouts.startup_s
        expected = self.expected if self.phase == "train" else None
        if self.step_s is None:
            return self.timeouts.allowed_first_step_s(expected)
        return self.timeouts.allowed_step_s(self.step_s, expected)

    def remaining_s(self, now_s: float) -> float:
        """Seconds until the probe is stopped, unless a message comes; negative when it is late."""
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
            if self.expected is not None:
                where += f", {self.expected.words()}"
        return f"silent for {self.allowed_s():.3g} s in {where}"
