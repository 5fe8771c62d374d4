"""What a worker's reply means: a result, an error to raise, or a measurement of a run that died.

Standard library only.
"""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

from probes.classify import classify_death, classify_exception, silent_failure
from probes.errors import InputError, MeasurementError
from probes.formatting import sentences
from probes.isolation import WorkerReply
from probes.job import ProbeJob
from probes.measurement import NEAR_CAP, Measurement, Verdict
from probes.ranks.gang import RankEnd
from probes.ranks.signs import peer_error
from probes.ranks.verdict import Ended
from probes.timeouts import hint

LOST_HINT = (
    "tonnage fleet status says which nodes are there. Give the same command again: it goes on with "
    "what was measured."
)


def result_of(reply: WorkerReply) -> dict[str, Any] | None:
    """The reply's result. Raises the error it carries, where it carries one."""
    result = reply.result
    if result is None:
        return None
    if "error" in result:
        kind = InputError if result["exit_code"] == InputError.exit_code else MeasurementError
        raise kind(result["error"])
    if "exception" in result:
        facts = result["exception"]
        classified = classify_exception(facts["types"], facts["message"])
        wrong = InputError if classified.verdict is Verdict.CRASH else MeasurementError
        hint = "" if wrong is InputError else classified.hint  # the traceback says where
        said = sentences(classified.reason, hint)
        is_ours = "ModuleNotFoundError" in facts["types"] and "'torch'" in facts["message"]
        raise wrong(said if is_ours else f"{said}\n{facts['traceback'].rstrip()}")
    return result


def measurement_of(job: ProbeJob, reply: WorkerReply) -> Measurement:
    """The worker's own measurement, or what its silence or death says. Raises the error that the
    reply carries."""
    result = result_of(reply)
    if result is not None:
        return _unless_silent(Measurement.from_dict(result["measurement"]), reply.stderr_tail)
    progress = reply.last_progress
    base = Measurement(
        workload=job.workload.label,
        config=job.config,
        batch_size=job.batch_size,
        device=job.device,
        purpose=job.plan.purpose,
        verdict=Verdict.CRASH,
        reason="",
        limit_bytes=job.limit_bytes,
        headroom=job.headroom,
        cap_bytes=progress.get("cap_bytes"),
        peak_bytes=progress.get("peak_bytes"),
        steps=int(progress.get("step", 0)),
        samples=int(progress.get("step", 0)) * job.batch_size * job.accumulation,
        accumulation=job.accumulation,
        phase=str(progress.get("phase", "start")),
    )
    if reply.lost:
        return replace(base, reason=reply.lost, hint=LOST_HINT)
    if reply.timed_out:
        return replace(
            base,
            verdict=Verdict.TIMEOUT,
            reason=f"It was {reply.timed_out}, and was ended.",
            hint=f"{hint(job.expected_step)} If it waits for data or a lock, look at the output "
            "above.",
        )
    near = bool(base.cap_bytes and (base.peak_bytes or 0) >= NEAR_CAP * base.cap_bytes)
    death = classify_death(
        reply.returncode if reply.returncode is not None else -1,
        reply.stderr_tail,
        near_cap=near,
        cgroup_oom_kills=reply.cgroup_oom_kills,
    )
    return replace(
        base,
        verdict=death.verdict,
        reason=death.reason,
        hint=death.hint,
        tainted=[death.disturbed] if death.disturbed else [],
    )


def ended_of(rank: int, end: RankEnd) -> Ended:
    """How a rank ended, from what its worker said or did."""
    reply = end.reply
    found = (reply.result or {}).get("measurement", {}).get("of_rank", {})
    measurement = replace(
        measurement_of(end.job, reply),
        stdout_tail=reply.stdout_tail,
        stderr_tail=reply.stderr_tail,
    )
    return Ended(
        rank=rank,
        device=end.job.device,
        node=end.job.group.node_of(rank) if end.job.group is not None else "",
        measurement=measurement,
        at_s=reply.answered_s,
        peer_error=found.get("peer_error", "") if reply.result else _died_of_a_peer(reply),
        non_finite_step=found.get("non_finite_step"),
        is_silent=bool(reply.timed_out),
        is_stopped=end.stopped,
        called_off=reply.called_off and reply.result is None,
        pulse=reply.pulse or None,
        reached_end=found.get("reached_end", False),
        communication_bytes=found.get("communication_bytes", 0),
        local_step_s=found.get("local_step_s"),
    )


def _died_of_a_peer(reply: WorkerReply) -> str:
    """Gloo ends a process that receives what it did not ask for."""
    return peer_error(reply.stderr_tail) if reply.returncode == -signal.SIGABRT else ""


def _unless_silent(measurement: Measurement, stderr_tail: str) -> Measurement:
    """Metal reports some failures on stderr only, while the run goes on with garbage."""
    failure = silent_failure(stderr_tail) if measurement.passed else None
    if failure is None or not measurement.device.startswith("mps"):
        return measurement
    return replace(measurement, verdict=failure.verdict, reason=failure.reason, hint=failure.hint)


def tail_of(reply: WorkerReply) -> str:
    """The last output of the worker, to end a message with; empty where it printed nothing."""
    text = (reply.stderr_tail or reply.stdout_tail).strip()
    return f" Its last output:\n{text[-2000:]}" if text else ""
