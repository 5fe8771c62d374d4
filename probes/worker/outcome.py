"""From the evidence of one run to its measurement, however the run was made.

Pure; standard library only: the worker uses it, and the parent for commands.
"""

from __future__ import annotations

from typing import Any

from probes.devices.base import MemoryCap
from probes.formatting import finite
from probes.job import ProbeJob
from probes.measurement import Measurement, Purpose, Verdict
from probes.worker.evidence import Judgement, RunEvidence


def outcome(
    job: ProbeJob,
    evidence: RunEvidence,
    cap: MemoryCap | None,
    peak_bytes: int | None,
    judgement: Judgement,
    *,
    phase: str,
    **more: Any,
) -> Measurement:
    """The measurement of a run that ended in ``phase``; ``cap`` is ``None`` where it ended before
    there was one, ``more`` are further fields."""
    verdict, reason, hint = judgement
    growth = None
    if cap is not None and peak_bytes is not None and job.plan.purpose is Purpose.CONFIRM:
        growth = evidence.growth(cap.cap_bytes, peak_bytes) if evidence.has_trend() else None
        if verdict is Verdict.STABLE:
            more["notes"] = [*more.get("notes", []), *evidence.remarks(cap, peak_bytes)]
    return Measurement(
        workload=job.workload.label,
        config=job.config,
        batch_size=job.batch_size,
        device=job.device,
        purpose=job.plan.purpose,
        verdict=verdict,
        reason=reason,
        hint=hint,
        limit_bytes=cap.limit_bytes if cap else job.limit_bytes,
        headroom=job.headroom,
        cap_bytes=cap.cap_bytes if cap else None,
        overhead_bytes=cap.overhead_bytes if cap else 0,
        peak_bytes=peak_bytes,
        static_bytes=evidence.static_bytes,
        phase_peak_bytes=evidence.phase_peaks,
        step_time=evidence.step_time(job.plan.half_width, job.device.partition(":")[0]),
        growth=growth,
        trace=evidence.trace(),
        steps=evidence.attempted,
        samples=evidence.attempted * job.batch_size * job.accumulation,
        accumulation=job.accumulation,
        first_loss=finite(evidence.losses[0]) if evidence.losses else None,
        last_loss=finite(evidence.losses[-1]) if evidence.losses else None,
        phase=phase if verdict is not Verdict.STABLE else "done",
        **more,
    )
