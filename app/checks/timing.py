"""Will a planned run finish in time? From measured step times; pure functions.

A larger batch takes at least as long as a smaller one: where the planned batch was not timed
itself, its neighbours bound it. A disturbed machine is only ever slower: what is in time on one is
in time, what is not may still be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.checks.plan import CheckAnswer, CheckVerdict, MeasuredRun, RunPlan, StepSeconds, worth
from probes.formatting import duration_text


@dataclass(frozen=True)
class Step:
    """What is known of the step time, in seconds: bounds, or the measured mean."""

    at_least: float
    at_most: float | None
    measured: StepSeconds | None = None
    in_doubt: bool = False
    """Whether the machine was disturbed, so that it may be faster than that."""
    batch_size: int = 0
    """Batch size of the run that ``at_least`` comes from."""


def in_time(
    base: CheckAnswer, plan: RunPlan, runs: Sequence[MeasuredRun], passing: Sequence[MeasuredRun]
) -> CheckAnswer:
    """``base``, the answer about memory (``fits`` or ``unknown``), with what the window makes of
    it. ``passing`` are the runs whose batches are known to fit."""
    window = plan.window
    if window is None:
        return base
    step = step_of(plan, runs)
    if step is not None and step.measured is not None:
        cycle = {name: getattr(step.measured, name) for name in ("mean", "low", "high")}
        cycle = {name: step_s * window.cycle_batches for name, step_s in cycle.items()}
        base = replace(base, cycle_time_s=cycle)
    longest = window.longest_cycle_s
    if longest is None:
        return base
    if step is not None and not step.in_doubt and step.at_least * window.cycle_batches > longest:
        return _too_slow(base, plan, passing, step)
    return _within_window(base, plan, step, longest) if base.verdict == CheckVerdict.FITS else base


def step_of(plan: RunPlan, runs: Sequence[MeasuredRun]) -> Step | None:
    """The step time of the planned batch, from runs with the same accumulation; ``None`` if nothing
    is known."""
    timed = {
        run.batch_size: run
        for run in sorted(runs, key=worth)
        if run.step is not None and run.passed and run.accumulation == plan.accumulation
    }
    exact = timed.get(plan.batch_size)
    if exact is not None and exact.step is not None:
        mean = exact.step.mean
        return Step(mean, mean, exact.step, exact.tainted, plan.batch_size)
    below = max((size for size in timed if size < plan.batch_size), default=None)
    above = min((size for size in timed if size > plan.batch_size), default=None)
    if below is None and above is None:
        return None
    slower, faster = timed.get(above or 0), timed.get(below or 0)
    return Step(
        at_least=faster.step.low if faster and faster.step else 0.0,
        at_most=slower.step.high if slower and slower.step else None,
        in_doubt=bool(faster and faster.tainted),
        batch_size=below or 0,
    )


def _too_slow(
    base: CheckAnswer, plan: RunPlan, passing: Sequence[MeasuredRun], step: Step
) -> CheckAnswer:
    window = plan.window
    assert window is not None and window.longest_cycle_s is not None
    longest_step_s = window.longest_cycle_s / window.cycle_batches
    quick = [
        run.batch_size
        for run in passing
        if run.step is not None
        and run.accumulation == plan.accumulation
        and run.step.mean <= longest_step_s
    ]
    largest = max(quick, default=None)
    cycle_s = step.at_least * window.cycle_batches
    about = "takes" if step.measured else f"takes longer than batch {step.batch_size}, at least"
    then = (
        f"the largest batch known to be in time is {largest}"
        if largest is not None
        else "no batch of this config is known to be in time"
    )
    return replace(
        base,
        verdict=CheckVerdict.TOO_SLOW,
        reason=f"batch {plan.batch_size} {about} {duration_text(cycle_s)} per cycle of "
        f"{window.cycle_batches} batches; {_window_words(plan)}; {then}",
        largest_batch=largest,
        lever="a smaller batch or model, fewer batches per cycle, or a budget with a longer window",
    )


def _within_window(
    fits: CheckAnswer, plan: RunPlan, step: Step | None, longest_s: float
) -> CheckAnswer:
    assert plan.window is not None
    batches = plan.window.cycle_batches
    if step is not None and step.at_most is not None and step.at_most * batches <= longest_s:
        about = "a cycle takes" if step.measured else "a cycle takes at most"
        words = f"{about} {duration_text(step.at_most * batches)}, {_window_words(plan)}"
        return replace(fits, reason=f"{fits.reason}; {words}")
    if step is None:
        why = f"no step time was measured with accumulation {plan.accumulation}"
    elif step.measured is not None:
        why = (
            f"a cycle took {duration_text(step.measured.mean * batches)} while the machine was "
            "disturbed, which may be too long"
        )
    else:
        why = f"the time of batch {plan.batch_size} was not measured"
    return replace(
        fits,
        verdict=CheckVerdict.UNKNOWN,
        reason=f"the memory is enough, but {why}; {_window_words(plan)}",
    )


def _window_words(plan: RunPlan) -> str:
    window = plan.window
    assert window is not None and window.longest_cycle_s is not None
    scaled = f" scaled by {window.time_scale:g}" if window.time_scale != 1.0 else ""
    return f"{window.budget}{scaled} allows {duration_text(window.longest_cycle_s)}"
