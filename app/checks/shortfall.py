"""A batch that does not fit: by how much, which one does, and what would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.checks.evidence import MemoryEvidence
from app.checks.plan import CheckAnswer, CheckVerdict, MeasuredRun, Room, RunPlan
from probes.formatting import size_text

MEMORY_LEVERS: dict[str, Any] = {"gradient_checkpointing": True, "precision": "bf16"}
"""In the order in which they are worth trying."""


def does_not_fit(
    base: CheckAnswer,
    plan: RunPlan,
    room: Room,
    evidence: MemoryEvidence,
    failed: MeasuredRun,
    hints: Sequence[str],
) -> CheckAnswer:
    """``base`` with what is known of the shortfall; ``failed`` is the run that shows it."""
    if failed.refused:
        return replace(base, verdict=CheckVerdict.DOES_NOT_FIT, lowest_failing=failed.to_dict())
    short, is_exact = _short_by(plan, room, evidence, failed)
    least = "at least" if is_exact else "about"
    more = "more " if short is None else f"{least} {size_text(short)} more "
    at = "" if failed.batch_size == plan.batch_size else f" (batch {failed.batch_size} failed)"
    why = {
        "leak": f"batch {plan.batch_size} leaks memory and would die later{at}",
        "spill": f"batch {plan.batch_size} uses memory outside the device{at}",
        "shape_limit": f"batch {plan.batch_size} is more than a kernel can handle{at}",
        "unsupported": f"batch {plan.batch_size} cannot run here{at}",
    }.get(
        failed.verdict,
        f"batch {plan.batch_size} needs {more}than the {size_text(room.cap_bytes)} there are{at}",
    )
    largest = base.largest_batch
    then = (
        f"the largest batch that fits is {largest}"
        if largest is not None
        else "no batch of this config is known to fit"
    )
    details = [*base.details]
    if failed.reason:
        details.append(f"Batch {failed.batch_size}: {failed.verdict}: {failed.why}")
    if short is not None and not is_exact:
        details.append("How much is short is extrapolated from smaller batches, not measured.")
    return replace(
        base,
        verdict=CheckVerdict.DOES_NOT_FIT,
        reason=f"{why}; {then}",
        details=details,
        short_by_bytes=short,
        lever=_lever(plan, largest, hints),
    )


def _short_by(
    plan: RunPlan, room: Room, evidence: MemoryEvidence, failed: MeasuredRun
) -> tuple[int | None, bool]:
    """How much more memory it would need, and whether that was measured."""
    if failed.verdict not in ("oom", "spill", "stable"):
        return None, False
    cap = room.cap_bytes
    if failed.batch_size == plan.batch_size:
        if failed.passed and failed.peak_bytes is not None:
            return failed.peak_bytes - cap, True
        if failed.requested_bytes is not None and failed.peak_bytes is not None:
            return max(1, failed.peak_bytes + failed.requested_bytes - cap), True
    line = _line_through(evidence.runs)
    if line is None:
        return None, False
    at_none, per_sample = line
    needed = at_none + per_sample * plan.batch_size
    return (int(needed - cap), False) if needed > cap else (None, False)


def _line_through(runs: Sequence[MeasuredRun]) -> tuple[float, float] | None:
    """Bytes without a batch and per sample, from the smallest and the largest batch that ran, or
    from the largest and what was there before it."""
    peaks: dict[int, int] = {}
    for run in runs:
        if run.passed and run.peak_bytes is not None:
            peaks[run.batch_size] = max(run.peak_bytes, peaks.get(run.batch_size, 0))
            if run.static_bytes is not None:
                peaks.setdefault(0, run.static_bytes)
    if len(peaks) > 2:
        peaks.pop(0, None)
    if len(peaks) < 2:
        return None
    low, high = min(peaks), max(peaks)
    per_sample = (peaks[high] - peaks[low]) / (high - low)
    return peaks[low] - per_sample * low, per_sample


def _lever(plan: RunPlan, largest: int | None, hints: Sequence[str]) -> str:
    words = []
    if largest is not None:
        accumulated = _accumulated(plan, largest)
        if accumulated is not None:
            batch, times = accumulated
            words.append(f"batch {batch} with accumulation {times} keeps the samples per step")
        else:
            words.append(f"batch {largest}, with fewer samples per step")
    if hints:
        return "; ".join([*words, *hints])
    if levers := untried(plan):
        name, value = levers[0]
        setting = f"{name}={str(value).lower()}"
        words.append(f"{setting} lowers the memory per sample (not measured)")
    return "; ".join(words) or "a smaller model, or a device with more memory"


def _accumulated(plan: RunPlan, largest: int) -> tuple[int, int] | None:
    """A batch and the accumulation with which it has the samples per step of the plan; ``None``
    where it would be no more than half of the largest that fits."""
    samples = plan.samples_per_step
    for batch in range(largest, largest // 2, -1):
        times, rest = divmod(samples, batch)
        if not rest and (plan.accumulation > 1 or plan.takes("accumulation", times)):
            return batch, times
    return None


def untried(plan: RunPlan) -> list[tuple[str, Any]]:
    """Levers that would save memory, that the plan does not set and can, with their values."""
    config = {name: str(value).lower() for name, value in plan.config.items()}
    levers = MEMORY_LEVERS.items()
    return [
        (name, value)
        for name, value in levers
        if config.get(name) != str(value).lower() and plan.takes(name, value)
    ]
