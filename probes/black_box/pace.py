"""How long to wait for a command's next step, given how its earlier runs showed theirs. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from probes.timeouts import STEP_PATIENCE, ExpectedStep, Timeouts

START_PATIENCE = 3
"""Until its first step is seen, a command may take this multiple of the time it took before."""
EVALUATION_PATIENCE = 20
"""Between two steps a command may evaluate: it gets this multiple of the limit for a step."""

SIGN_PATIENCE = 3
"""A line that comes every so many steps gets at least this multiple of the time that those should
take, however long that is."""


@dataclass(frozen=True)
class Pace:
    """How the runs of a command showed their steps: the slowest of them."""

    first_sign_s: float = 0.0
    """Seconds from the start until the first step was seen."""
    steps_per_sign: int = 1
    """Steps from one line to the next."""

    def slowest(self, other: Pace | None) -> Pace:
        if other is None:
            return self
        return Pace(
            max(self.first_sign_s, other.first_sign_s),
            max(self.steps_per_sign, other.steps_per_sign),
        )


def allowed_start_s(
    times: Timeouts,
    expected: ExpectedStep | None,
    pace: Pace | None,
    *,
    is_printing: bool = False,
) -> float:
    """The limit for the time until the first step is seen. One that ``is_printing`` gets the usual
    limit at the least: it has not hung."""
    usual_s = times.startup_s + times.step_s
    if expected is None or pace is None:
        return usual_s
    step_s = times.expected_step_s(expected, pace.steps_per_sign)
    patient_s = min(usual_s, START_PATIENCE * pace.first_sign_s + step_s)
    if is_printing:
        patient_s = usual_s
    return max(patient_s, pace.first_sign_s + _sign_s(expected, pace))


def allowed_silence_s(
    times: Timeouts, expected: ExpectedStep | None, pace: Pace | None, gap_s: float
) -> float:
    """The limit for the silence after a step, where the last ones came ``gap_s`` apart."""
    usual_s = times.allowed_step_s(gap_s)
    if expected is None or pace is None:
        return usual_s
    steps = max(EVALUATION_PATIENCE, pace.steps_per_sign)
    patient_s = min(usual_s, max(times.expected_step_s(expected, steps), STEP_PATIENCE * gap_s))
    return max(patient_s, _sign_s(expected, pace))


def _sign_s(expected: ExpectedStep, pace: Pace) -> float:
    """The least that a line is waited for."""
    return SIGN_PATIENCE * pace.steps_per_sign * expected.step_s
