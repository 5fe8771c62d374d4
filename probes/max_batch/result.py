"""What a max-batch search ends in: the batch, what binds it, the curve, the evidence, the cost.

Pure functions over the measurements of one config. Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from probes.curve import Curve, fit
from probes.formatting import size_text
from probes.max_batch.bounds import Bounds
from probes.measurement import CONTRACT, UNSEEN, Measurement, Purpose, Verdict
from probes.prior import Prior

MEMORY_VERDICTS = {Verdict.OOM, Verdict.SPILL}
FAR_APART = 8
"""Failures at batches this far apart, as a ratio, do not depend on the batch."""
SAME_SHARE = 0.03
"""Of the memory limit: peaks that differ by less are the same."""
CURVE_POINTS = 9
"""Batches at which the curve is reported, up to a quarter beyond the answer."""


@dataclass(frozen=True)
class CurvePoint:
    """Peak memory at a batch: what the curve says, and what was measured there, if anything."""

    batch_size: int
    predicted_bytes: int
    low_bytes: int
    high_bytes: int
    measured_bytes: int | None


@dataclass(frozen=True)
class Phase:
    """One phase of training at the answer."""

    peak_bytes: int
    """Peak in this phase at the answer's batch."""
    ceiling: int | None
    """Predicted largest batch if this phase were the only one; ``None`` if it does not grow that
    far."""


@dataclass(frozen=True)
class MaxBatch:
    """The answer. ``max_batch`` is ``None`` when nothing passes; ``reason`` then says why."""

    max_batch: int | None
    binding: str | None
    """``memory``, ``time``, ``data``, ``shape``, ``failure`` or ``cap``; ``None`` when unknown."""
    reason: str
    highest_passing: Measurement | None
    lowest_failing: Measurement | None
    measurements: list[Measurement] = field(default_factory=list)
    curve: list[CurvePoint] = field(default_factory=list)
    phases: dict[str, Phase] = field(default_factory=dict)

    @property
    def probes(self) -> int:
        return len(self.measurements)

    @property
    def steps(self) -> int:
        return sum(m.steps for m in self.measurements)

    @property
    def samples(self) -> int:
        return sum(m.samples for m in self.measurements)

    def to_dict(self) -> dict[str, Any]:
        return {
            "max_batch": self.max_batch,
            "binding": self.binding,
            "reason": self.reason,
            "evidence": {
                "highest_passing": _plain(self.highest_passing),
                "lowest_failing": _plain(self.lowest_failing),
            },
            "curve": [vars(point) for point in self.curve],
            "phases": {name: vars(phase) for name, phase in self.phases.items()},
            "runs": [_brief(m) for m in self.measurements],
            "probes": self.probes,
            "steps_run": self.steps,
            "samples_processed": self.samples,
        }


def _plain(measurement: Measurement | None) -> dict[str, Any] | None:
    return None if measurement is None else measurement.to_dict()


def _brief(m: Measurement) -> dict[str, Any]:
    return {
        "batch_size": m.batch_size,
        "purpose": m.purpose.value,
        "verdict": m.verdict.value,
        "reason": m.reason,
        "peak_bytes": m.peak_bytes,
        "steps": m.steps,
        "samples": m.samples,
        "wall_s": round(m.wall_s, 3),
    }


# -- curves -------------------------------------------------------------------------------------


def measured_peaks(measurements: Sequence[Measurement]) -> dict[int, Measurement]:
    """The best measurement per batch size that ran to its end: a confirmation if there is one."""
    best: dict[int, Measurement] = {}
    for m in sorted(measurements, key=lambda m: m.purpose is Purpose.CONFIRM):
        if m.passed and m.peak_bytes is not None:
            best[m.batch_size] = m
    return dict(sorted(best.items()))


def memory_curve(measurements: Sequence[Measurement], prior: Prior | None = None) -> Curve | None:
    """Peak memory in bytes against the batch."""
    found = measured_peaks(measurements)
    if not found:
        return None
    static = found[max(found)].static_bytes
    return fit({b: float(m.peak_bytes or 0) for b, m in found.items()}, float(static or 0), prior)


def curve_points(curve: Curve, measurements: Sequence[Measurement], last: int) -> list[CurvePoint]:
    """The curve at round fractions of ``last`` and at everything measured, ascending; also at what
    failed up to there."""
    measured = {b: m.peak_bytes for b, m in measured_peaks(measurements).items()}
    failed = {m.batch_size for m in measurements if not m.passed and m.batch_size <= last}
    grid = {max(1, round(last * k / (CURVE_POINTS - 1))) for k in range(1, CURVE_POINTS)}
    points = []
    for batch in sorted(grid | {1} | failed | set(measured)):
        e = curve.at(batch)
        low, high = math.floor(e.low), math.ceil(e.high)
        points.append(CurvePoint(batch, round(e.value), low, high, measured.get(batch)))
    return points


def phases_of(best: Measurement, measurements: Sequence[Measurement]) -> dict[str, Phase]:
    """Each phase's peak at the answer, and the batch at which it would reach the cap."""
    phases = {}
    for name, peak in best.phase_peak_bytes.items():
        points = {
            m.batch_size: float(m.phase_peak_bytes[name])
            for m in measurements
            if name in m.phase_peak_bytes and m.passed
        }
        edge = _lowest_out_of_memory(name, best, measurements) - 1
        curve = fit(points, float(best.static_bytes or 0))
        if curve is not None and best.cap_bytes is not None:
            edge = min(edge, curve.reaches(best.cap_bytes, best.batch_size * 1000))
        phases[name] = Phase(peak, None if math.isinf(edge) else max(best.batch_size, int(edge)))
    return phases


def _lowest_out_of_memory(
    phase: str, best: Measurement, measurements: Sequence[Measurement]
) -> float:
    """The lowest batch above the answer that ran out of memory in this phase; infinite for none."""
    return min(
        (
            m.batch_size
            for m in measurements
            if m.verdict in MEMORY_VERDICTS and m.phase == phase and m.batch_size > best.batch_size
        ),
        default=math.inf,
    )


# -- words --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Failing:
    """The lowest failing batch, with why it counts as failing although it may have run."""

    measurement: Measurement
    longest_step_s: float | None = None
    collapse: float | None = None
    """How many times longer a sample took than at a smaller batch, where that is the failure."""

    @property
    def is_for_every_batch(self) -> bool:
        """Whether no other batch can end differently, unless one has: a lever or the device was
        refused, or the loss cannot be trained on."""
        m = self.measurement
        is_refused = m.verdict is Verdict.UNSUPPORTED and m.phase in ("start", "build")
        return is_refused or m.phase == CONTRACT

    @property
    def binding(self) -> str | None:
        m = self.measurement
        if self.is_for_every_batch:
            return None
        if self.collapse is not None or m.verdict in MEMORY_VERDICTS | {Verdict.LEAK}:
            return "memory"
        if m.passed:
            return "time"
        if m.phase == UNSEEN:
            return "failure"
        if m.phase == "data":
            return "data"
        if m.batch_size == 1:
            return None
        if m.verdict is Verdict.TIMEOUT:
            return "time"
        is_of_size = m.verdict in (Verdict.SHAPE_LIMIT, Verdict.UNSUPPORTED)
        return "shape" if is_of_size else "failure"

    def words(self) -> str:
        m = self.measurement
        if self.collapse is not None:
            return (
                f"each sample takes {self.collapse:.1f} times as long as in a smaller batch: the "
                "device is probably using memory that is not its own."
            )
        if m.passed and m.step_time is not None:
            return (
                f"{m.step_time.mean_s:.3g} s per step, longer than the "
                f"{self.longest_step_s:.3g} s that fit the window"
                f"{' (the machine was disturbed)' if m.tainted else ''}."
            )
        return f"{m.verdict}: {m.reason}"


def wrong_loss(measurements: Sequence[Measurement]) -> Measurement | None:
    """A run that ended because the loss cannot be trained on, although another batch may have
    passed: a vector of one number passes for a scalar."""
    return next((m for m in measurements if m.phase == CONTRACT), None)


def why_nothing(failing: Failing | None, failed: Sequence[Measurement] = ()) -> str:
    """Why not even the smallest batch passes, and by how much it is short where that is known.
    ``failed``: all that failed."""
    if failing is None:
        return "No probe could be run."
    short = short_by_bytes(failing.measurement)
    if failing.is_for_every_batch:
        return f"No batch can run: {failing.words()}"
    by = f" Short by at least {size_text(short)}." if short is not None else ""
    why = f"Even batch {failing.measurement.batch_size} fails: {failing.words()}{by}"
    return f"{why} {words}" if (words := _before_any_batch(failed)) else why


def _before_any_batch(failed: Sequence[Measurement]) -> str:
    """That memory ran out in the same way at batches far apart, before a step was seen; empty
    elsewhere. Raising the budget helps then, and a smaller batch does not."""
    over = {
        m.batch_size: m.peak_bytes - m.cap_bytes
        for m in failed
        if m.verdict is Verdict.OOM and m.steps == 0
        if m.peak_bytes and m.cap_bytes and m.peak_bytes > m.cap_bytes
    }
    if len(over) < 2 or len(over) < len(failed) or max(over) < FAR_APART * min(over):
        return ""
    limit, cap = failed[0].limit_bytes or 0, failed[0].cap_bytes or 1
    if max(over.values()) - min(over.values()) > SAME_SHARE * limit:
        return ""
    needed_mib = math.ceil((cap + max(over.values())) * limit / cap / 2**20)
    return (
        "The batch size makes no difference: this is what the command takes before its first step, "
        "for its libraries, its data and its model. Allow at least "
        f"{size_text(needed_mib * 2**20)}, and more for the steps."
    )


def why_not_more(binding: str | None, failing: Failing | None, bounds: Bounds) -> str:
    """Why no larger batch is the answer: its limit, or the lowest batch that fails. Empty where
    nothing failed and nothing limits."""
    if binding == "cap" or (binding == "data" and failing is None):
        return bounds.ceiling_reason
    if failing is None:
        return ""
    return f"Batch {failing.measurement.batch_size} fails: {failing.words()}"


def short_by_bytes(measurement: Measurement) -> int | None:
    """How much more memory a failed run would have needed at the least; ``None`` if unknown."""
    if measurement.cap_bytes is None or measurement.requested_bytes is None:
        return None
    needed = (measurement.peak_bytes or 0) + measurement.requested_bytes
    return max(1, needed - measurement.cap_bytes)


def step_points(measurements: Mapping[int, Measurement]) -> dict[int, float]:
    """Mean step time in seconds per batch size."""
    return {b: m.step_time.mean_s for b, m in measurements.items() if m.step_time is not None}
