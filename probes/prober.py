"""Run a probe and turn whatever happens into a measurement.

The one way to measure: a fresh worker process per probe, telemetry around it, every ending
classified. Runs in the parent; never imports torch.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from probes.classify import classify_death, classify_exception, silent_failure
from probes.devices.environment import worker_environment
from probes.devices.telemetry import Telemetry
from probes.errors import InputError, MeasurementError
from probes.isolation import Answer, Progress, Timeouts, Worker
from probes.job import ProbeJob, WorkloadRef
from probes.measurement import NEAR_CAP, Measurement, Verdict


@dataclass(frozen=True)
class Prober:
    """Where and how probes run."""

    python: str = sys.executable
    timeouts: Timeouts = field(default_factory=Timeouts)
    _asking: list[Worker] = field(default_factory=list, repr=False, compare=False)
    """The worker that answers questions, so that torch is imported once for all of them; gone
    before anything is measured."""

    def devices(self) -> dict[str, Any]:
        """Facts of every device as torch in ``python`` sees it (see ``worker.facts``)."""
        return self._ask({"kind": "devices"})

    def describe(self, workload: WorkloadRef) -> dict[str, Any]:
        """Space, dataset size and source hash of a workload. Raises ``InputError``."""
        job = {"kind": "describe", "workload": {"spec": workload.spec, "options": workload.options}}
        result: dict[str, Any] = self._ask(job)["workload"]
        return result

    def probe(
        self,
        job: ProbeJob,
        telemetry: Telemetry | None = None,
        on_progress: Progress | None = None,
    ) -> Measurement:
        """One measurement in a fresh process. Raises only when the job itself is wrong."""
        self.close()
        started_at = datetime.now(timezone.utc)
        kind = job.device.partition(":")[0]
        with Worker(self.python, worker_environment(kind)) as worker:
            if telemetry is not None:
                telemetry.begin(worker.pid)
            try:
                answer = worker.request(job.to_dict(), self.timeouts, on_progress)
            finally:
                window = telemetry.end() if telemetry is not None else None
        measurement = _measurement(job, answer)
        if window is not None:
            measurement = replace(
                measurement,
                tainted=[*measurement.tainted, *window.taints],
                notes=[*measurement.notes, *window.notes],
                state=window.to_dict(),
            )
        return replace(
            measurement,
            wall_s=answer.wall_s,
            started_at=started_at.isoformat(timespec="seconds"),
            stdout_tail=answer.stdout_tail,
            stderr_tail=answer.stderr_tail,
        )

    def close(self) -> None:
        """End the worker that answers questions, if there is one; a later question starts anew."""
        while self._asking:
            self._asking.pop().close()

    def _ask(self, job: dict[str, Any]) -> dict[str, Any]:
        if not self._asking:
            self._asking.append(Worker(self.python))
        answer = self._asking[0].request(job, self.timeouts)
        if answer.result is None:
            self.close()
        result = _result(answer)
        if result is not None:
            return result
        if answer.timed_out:
            raise MeasurementError(f"The worker was {answer.timed_out}.{_tail(answer)}")
        raise MeasurementError(
            f"The worker of {self.python} ended with status {answer.returncode}.{_tail(answer)}"
        )


def _result(answer: Answer) -> dict[str, Any] | None:
    """The answer's result. Raises the error it carries, where it carries one."""
    result = answer.result
    if result is None:
        return None
    if "error" in result:
        kind = InputError if result["exit_code"] == InputError.exit_code else MeasurementError
        raise kind(result["error"])
    if "exception" in result:
        facts = result["exception"]
        classified = classify_exception(facts["types"], facts["message"])
        wrong = InputError if classified.verdict is Verdict.CRASH else MeasurementError
        raise wrong(
            f"{classified.reason} {classified.hint}".rstrip() + "\n" + facts["traceback"].rstrip()
        )
    return result


def _measurement(job: ProbeJob, answer: Answer) -> Measurement:
    result = _result(answer)
    if result is not None:
        return _unless_silent(Measurement.from_dict(result["measurement"]), answer.stderr_tail)
    progress = answer.last_progress
    base = Measurement(
        workload=job.workload.spec,
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
    if answer.timed_out:
        return replace(
            base,
            verdict=Verdict.TIMEOUT,
            reason=f"It was {answer.timed_out}, and was ended.",
            hint="If it was working, raise probe.step_timeout_s or probe.startup_timeout_s; if it "
            "waits for data or a lock, look at the output above.",
        )
    near = bool(base.cap_bytes and (base.peak_bytes or 0) >= NEAR_CAP * base.cap_bytes)
    death = classify_death(
        answer.returncode if answer.returncode is not None else -1,
        answer.stderr_tail,
        near_cap=near,
        cgroup_oom_kills=answer.cgroup_oom_kills,
    )
    return replace(base, verdict=death.verdict, reason=death.reason, hint=death.hint)


def _unless_silent(measurement: Measurement, stderr_tail: str) -> Measurement:
    """Metal reports some failures on stderr only, while the run goes on with garbage."""
    failure = silent_failure(stderr_tail) if measurement.passed else None
    if failure is None or not measurement.device.startswith("mps"):
        return measurement
    return replace(measurement, verdict=failure.verdict, reason=failure.reason, hint=failure.hint)


def _tail(answer: Answer) -> str:
    text = (answer.stderr_tail or answer.stdout_tail).strip()
    return f" Its last output:\n{text[-2000:]}" if text else ""


def resolve_python(asked: str | None) -> str:
    """The interpreter that trains: what was asked for, else the active virtual environment if it
    has torch, else our own. Raises ``InputError`` when there is no such interpreter.
    """
    if asked:
        found = shutil.which(str(Path(asked).expanduser()))
        if found is None:
            raise InputError(f"--python {asked}: there is no such interpreter.")
        return str(Path(found).absolute())  # not resolved: a link into a venv means the venv
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        prefix = os.environ.get(variable)
        if not prefix or Path(prefix).resolve() == Path(sys.prefix).resolve():
            continue
        candidate = str(Path(prefix, "bin", "python"))
        if os.access(candidate, os.X_OK) and _has_torch(candidate):
            return candidate
    return sys.executable


def _has_torch(python: str) -> bool:
    look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)"
    try:
        ran = subprocess.run([python, "-c", look], timeout=30, capture_output=True, check=False)
        return ran.returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


ProbeFunction = Callable[[ProbeJob], Measurement]
