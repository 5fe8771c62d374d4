"""What a disturbed machine leaves in doubt about a measurement.

Interference works one way only: it makes steps slower, and it takes memory away. So a run that
passed has passed, whatever disturbed it, and only its time may be too long. A run that failed may
have failed because of it: beyond the time edge, out of memory that another process took, or killed.
Every taint touches the time; those that touch memory too are ``Measurement.memory_taints``.
"""

from __future__ import annotations

from probes.measurement import Measurement, Verdict

STARVED = (Verdict.OOM, Verdict.SPILL)
KILLED = "the run was killed from outside"
"""The taint of a run that ended by SIGKILL, which was not the kernel's for lack of memory."""


def is_too_slow(run: Measurement, longest_step_s: float | None) -> bool:
    """Whether its mean step is beyond the time edge; ``None`` where time has no edge."""
    timing = run.step_time
    return longest_step_s is not None and timing is not None and timing.mean_s > longest_step_s


def doubts(
    run: Measurement, longest_step_s: float | None = None, *, time_matters: bool = True
) -> list[str]:
    """What disturbed the run so that its outcome may not be the config's; empty when it stands.

    ``time_matters`` says whether the step time of a passing run is part of the outcome, and not
    only on which side of ``longest_step_s`` it lies.
    """
    if run.verdict in STARVED:
        return run.memory_taints
    if run.verdict is Verdict.CRASH:
        return [taint for taint in run.tainted if taint == KILLED]
    if run.passed and (time_matters or is_too_slow(run, longest_step_s)):
        return run.tainted
    return []


def is_better(one: Measurement, other: Measurement) -> bool:
    """For two disturbed runs of one probe: whether ``one`` is nearer to the truth: it passed, or it
    was faster."""
    if one.passed != other.passed:
        return one.passed
    if one.step_time is None or other.step_time is None:
        return False
    return one.step_time.mean_s < other.step_time.mean_s
