"""From measurements to the number that a claim is about."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.ablation.evidence import Ending
from optimizer.ablation.question import Quantity
from probes.measurement import Measurement, Verdict

MIB = 2**20
RESOLUTION = 0.01
"""Half-width of an interval of times at the least: two processes on one machine differ by more."""
MEMORY_RESOLUTION = 0.005
MEMORY_RESOLUTION_BYTES = MIB / 2
"""So is this of an interval of memory: allocators take it in pieces."""
LEAST_MEMORY_BYTES = 2 * MIB
"""Less is not compared."""
LOSS_RESOLUTION = 1e-4
"""Two trainings from the same start differ by nothing but what was changed, and by rounding."""

ENDINGS = {
    Verdict.UNSUPPORTED: Ending.UNSUPPORTED,
    Verdict.OOM: Ending.DOES_NOT_FIT,
    Verdict.SPILL: Ending.DOES_NOT_FIT,
    Verdict.NON_FINITE: Ending.NON_FINITE,
}


@dataclass(frozen=True)
class Reading:
    """One value of a quantity; or, where there is none, why."""

    value: float | None
    missing: str = ""


def read(quantity: Quantity, run: Measurement, tokens_per_sample: float = 1.0) -> Reading:
    """The value of a quantity that a single passing probe tells. Bytes, seconds, or samples (with
    ``tokens_per_sample`` tokens) per second."""
    if quantity.is_time:
        if run.step_time is None:
            return Reading(None, "the step time could not be measured")
        if quantity is Quantity.STEP_TIME:
            return Reading(run.step_time.mean_s)
        samples = run.effective_batch_size * tokens_per_sample
        return Reading(samples / run.step_time.mean_s)
    peak = run.phase_peak_bytes.get("train", run.peak_bytes)
    if peak is None:
        return Reading(None, "the peak memory could not be measured")
    if quantity is Quantity.PEAK_MEMORY:
        return Reading(float(peak))
    if run.static_bytes is None:
        return Reading(None, "the memory held between steps could not be measured")
    held = run.static_bytes
    value = float(held if quantity is Quantity.HELD_MEMORY else peak - held)
    if value < LEAST_MEMORY_BYTES:
        return Reading(
            None, f"it is {max(0.0, value) / MIB:.1f} MiB, which is too little to be measured"
        )
    return Reading(value)


def least_half_width(quantity: Quantity, before: float, after: float) -> float:
    """The resolution of a comparison, as the logarithm of a ratio."""
    if quantity is Quantity.LOSS:
        return LOSS_RESOLUTION
    if not quantity.is_memory:
        return RESOLUTION
    smaller = min(before, after)
    return max(MEMORY_RESOLUTION, MEMORY_RESOLUTION_BYTES / smaller)


def ending_of(run: Measurement) -> Ending:
    """What a probe that did not pass means for the ablation."""
    return ENDINGS.get(run.verdict, Ending.FAILED)
