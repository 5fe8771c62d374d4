"""One probe of a command: start it, watch steps and memory, end it, say what that means."""

from __future__ import annotations

import math
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Protocol

from probes.black_box import gpu
from probes.black_box.command import Command, command_of
from probes.black_box.ending import classify_ending, last_lines
from probes.black_box.ignored import same_as_smaller
from probes.black_box.logs import StepLog, open_log
from probes.black_box.process import CommandProcess, Output
from probes.black_box.resident import ResidentTree
from probes.black_box.steps import OutputSteps, Seen, StepClock
from probes.black_box.tree import ROOM_BEFORE_STEPS, CpuTree
from probes.black_box.watch import Watch
from probes.classify import Classified
from probes.devices import host
from probes.devices.base import MemoryCap, checked_limit, size_text
from probes.devices.environment import allocator_settings, worker_environment
from probes.devices.machine import Machine
from probes.devices.nvml import NvmlDevice
from probes.devices.reading import Missing
from probes.devices.telemetry import Telemetry, Window
from probes.errors import InputError, MeasurementError
from probes.isolation import STEP_PATIENCE, Progress, Timeouts, worker_environ
from probes.job import ProbeJob
from probes.measurement import NEAR_CAP, Measurement, Purpose, Verdict

POLL_BEFORE_STEPS_S = 0.02
POLL_S = 0.05
FIND_S = 0.2
"""Processes that have begun since are looked for so often."""


@dataclass(frozen=True)
class Footprint:
    """What a training process takes before it trains, as a worker on the device measured it."""

    limit_bytes: int
    """The memory budget, or the device's size."""
    overhead_bytes: int
    """On a GPU: the context, and what other processes have."""
    start_bytes: int
    """On the CPU: what torch maps to start, files aside."""
    total_bytes: int
    torch: str
    python: str
    uuid: Any = None
    """The device's hashed UUID, to find it with NVML."""


class Tree(Protocol):
    """Memory of a process tree, in bytes."""

    peak_bytes: int
    swap_bytes: int

    def find(self) -> None: ...

    def held_bytes(self) -> int: ...

    def enforce(self) -> None: ...


class CommandProber:
    """Runs probes of commands. ``footprint`` asks a worker, once per device and budget."""

    def __init__(
        self, python: str, timeouts: Timeouts, footprint: Callable[[ProbeJob], Footprint]
    ) -> None:
        self.python = python
        self.timeouts = timeouts
        self._footprint = footprint
        self._footprints: dict[tuple[str, int | None, float], Footprint] = {}
        self._stepped: set[str] = set()
        """Commands that have been seen to make steps."""
        self._passed: dict[str, list[Measurement]] = {}

    def probe(
        self,
        job: ProbeJob,
        telemetry: Telemetry | None = None,
        on_progress: Progress | None = None,
    ) -> Measurement:
        """One measurement. Raises ``InputError`` for a command that cannot be measured at all: it
        never makes a step, it ignores the batch size, it has no place for a value."""
        command = command_of(job.workload)
        command.values(job, "", self.python)  # what is wrong with them is said before anything runs
        key = (job.device, job.limit_bytes, job.headroom)
        if key not in self._footprints:
            self._footprints[key] = self._footprint(job)
        run = _Run(job, command, self.python, self.timeouts, self._footprints[key], on_progress)
        has_stepped = command.template in self._stepped
        measurement = run.measure(telemetry, has_stepped=has_stepped)
        if run.clock.first is not None:
            self._stepped.add(command.template)
        if measurement.passed:
            config = f"{command.template} {sorted(job.config.items(), key=str)}"
            smaller = self._passed.setdefault(config, [])
            measurement = same_as_smaller(measurement, smaller, run.shown)
            smaller.append(measurement)
        return measurement


@dataclass
class _Ending:
    """How the watching ended."""

    why: str
    """``done``, ``over``, ``ended``, ``timeout``."""
    words: str = ""
    cgroup_oom_kills: int = 0


@dataclass
class _Run:
    """One run under way."""

    job: ProbeJob
    command: Command
    python: str
    timeouts: Timeouts
    footprint: Footprint
    on_progress: Progress | None
    clock: StepClock = field(default_factory=StepClock)
    notes: list[str] = field(default_factory=list)
    shown: str = ""

    def measure(self, telemetry: Telemetry | None, *, has_stepped: bool) -> Measurement:
        started_at, began_s = datetime.now(timezone.utc), time.monotonic()
        self.cap = self._cap()
        self.watch = Watch(self.job.plan, self.cap)
        with tempfile.TemporaryDirectory(
            prefix="tonnage-run-", ignore_cleanup_errors=True
        ) as run_dir:
            values = self.command.values(self.job, run_dir, self.python)
            self.shown = self.command.shown(values)
            environ = self._environ(values)
            limit = self.cap.cap_bytes + self.footprint.start_bytes + ROOM_BEFORE_STEPS
            with CommandProcess(
                self.command.argv(values),
                cwd=self.command.folder,
                environ=environ,
                address_limit=limit if self._is_limited() else 0,
            ) as process:
                if telemetry is not None:
                    telemetry.begin(process.guardian_pid)
                try:
                    ending = self._watch(process, self._log(values))
                finally:
                    window = telemetry.end() if telemetry is not None else None
                process.end()
                stdout, stderr = process.tails()
        measurement = self._judged(ending, process.returncode, stdout, stderr, has_stepped)
        return replace(
            _with_window(measurement, window),
            wall_s=time.monotonic() - began_s,
            started_at=started_at.isoformat(timespec="seconds"),
            stdout_tail=stdout,
            stderr_tail=stderr,
            environment={
                "torch": self.footprint.torch,
                "python": self.footprint.python,
                "threads": environ.get("OMP_NUM_THREADS"),
                "allocator": allocator_settings(environ),
                "command": self.shown,
            },
        )

    # -- before ----------------------------------------------------------------------------

    def _is_limited(self) -> bool:
        return self.job.device == "cpu" and sys.platform.startswith("linux")

    def _cap(self) -> MemoryCap:
        job, limit = self.job, self.footprint.limit_bytes
        cap = int(limit * (1 - job.headroom))
        if job.device != "cpu":
            return MemoryCap(limit, cap, self.footprint.overhead_bytes, enforced=True)
        limit = checked_limit(
            "the CPU's memory", job.limit_bytes, job.headroom, host.memory_total_bytes()
        )
        cap = int(limit * (1 - job.headroom))
        free = host.memory_free_bytes()
        if free is not None and free < cap:
            self.notes.append(
                f"the cap was lowered from {size_text(cap)} to {size_text(free)}: "
                "no more memory is free on this machine"
            )
            cap = free
        return MemoryCap(limit, cap, overhead_bytes=0, enforced=self._is_limited())

    def _environ(self, values: Mapping[str, Any]) -> dict[str, str]:
        """As a worker's environment, with what the command asks for itself on top."""
        kind = self.job.device.partition(":")[0]
        environ = worker_environ(worker_environment(kind))
        environ.update(gpu.visible_devices(self.job.device, environ))
        if kind == "cuda" and _version(self.footprint.torch) >= (2, 10):
            free = self.cap.cap_bytes - self.cap.overhead_bytes
            environ.update(gpu.torch_cap(environ, free / self.footprint.total_bytes))
        environ.update(self.command.environment(values))
        return environ

    def _log(self, values: Mapping[str, Any]) -> StepLog | None:
        if not self.command.log:
            return None
        from probes.black_box import template

        path = self.command.folder / template.fill(self.command.log, values)
        return open_log(path, self.command.step)

    def _tree(self, process: CommandProcess) -> Tree:
        if self._is_limited():
            return CpuTree(process.guardian_pid, self.cap.cap_bytes, self.footprint.start_bytes)
        machine = Machine()

        def family() -> set[int]:
            return machine.family([process.guardian_pid]) - {process.guardian_pid}

        if self.job.device == "cpu":
            return ResidentTree(family)
        device = NvmlDevice.find(str(self.footprint.uuid))
        if isinstance(device, Missing):
            raise MeasurementError(
                f"The memory of a command on {self.job.device} cannot be read: {device.reason}. "
                "Commands are measured on the CPU and on NVIDIA GPUs; write a workload for others."
            )
        return gpu.GpuTree(device, family)

    # -- while it runs ---------------------------------------------------------------------

    def _watch(self, process: CommandProcess, log: StepLog | None) -> _Ending:
        kills_before = host.cgroup_oom_kills()
        tree = self.tree = self._tree(process)
        readers = {name: OutputSteps(self.command.step_pattern) for name in ("stdout", "stderr")}
        began_s = heard_s = time.monotonic()
        find_s, gap_s = 0.0, 0.0
        self._say("start")
        while True:
            stepping = self.clock.first is not None
            pieces = process.wait(POLL_S if stepping else POLL_BEFORE_STEPS_S)
            ended = not process.running
            if ended:
                pieces += process.drain()
            now_s = time.monotonic()
            if not stepping or now_s - find_s > FIND_S:
                tree.find()
                find_s = now_s
            held_bytes = tree.held_bytes()
            seen = _read(readers, pieces) if log is None else log.read()
            done = False
            for passed in self._passed(seen, tree):
                gap_s = passed.each_s * passed.count
                done = self.watch.add(passed, held_bytes, tree.peak_bytes) or done
                if done:
                    break
            if seen:
                heard_s = now_s
                self._say("train")
            kills = host.cgroup_oom_kills() - kills_before
            if tree.peak_bytes > self.cap.cap_bytes and not ended:
                return _Ending("over", cgroup_oom_kills=kills)
            if done:
                return _Ending("done", cgroup_oom_kills=kills)
            if ended:
                return _Ending("ended", cgroup_oom_kills=kills)
            if late := self._late(now_s - began_s, now_s - heard_s, gap_s):
                return _Ending("timeout", late, kills)

    def _passed(self, seen: list[Seen], tree: Tree) -> list[Any]:
        before = self.clock.first
        passed = self.clock.passed(seen)
        if before is None and self.clock.first is not None:
            self.watch.begin()
            tree.find()
            tree.enforce()
            tree.held_bytes()
        return passed

    def _late(self, ran_s: float, silent_s: float, gap_s: float) -> str:
        """Why no longer to wait; empty while there is hope."""
        times = self.timeouts
        if self.clock.first is None:
            allowed_s = times.startup_s + times.step_s
            return f"without a step for {allowed_s:.0f} s" if ran_s > allowed_s else ""
        allowed_s = max(times.step_s, STEP_PATIENCE * gap_s)
        if silent_s > allowed_s:
            step = self.watch.evidence.attempted + 1
            return f"silent for {allowed_s:.0f} s in step {step}"
        if ran_s > times.probe_s:
            return f"still running after {times.probe_s:.0f} s"
        return ""

    def _say(self, phase: str) -> None:
        if self.on_progress is not None:
            step, of = self.watch.evidence.attempted, self.watch.least_steps
            self.on_progress({"phase": phase, "step": step, "of": max(step, of)})

    # -- afterwards ------------------------------------------------------------------------

    def _judged(
        self, ending: _Ending, returncode: int | None, stdout: str, stderr: str, has_stepped: bool
    ) -> Measurement:
        evidence, peak_bytes = self.watch.evidence, self.tree.peak_bytes
        steps = evidence.attempted
        self.notes += getattr(self.tree, "notes", [])
        if ending.why == "timeout":
            if steps == 0 and not has_stepped:
                raise MeasurementError(self._no_step(f"It was {ending.words}", stdout, stderr))
            return self._measurement(
                Verdict.TIMEOUT,
                f"It was {ending.words}, and was ended.",
                "If it was working, raise probe.step_timeout_s or probe.startup_timeout_s.",
            )
        if ending.why == "ended" and returncode != 0:
            if self.command.shell and returncode in (126, 127) and steps == 0:
                words = last_lines(stdout, stderr)
                raise InputError(f"The shell cannot run the command: {self.shown}\n{words}")
            failure = classify_ending(
                returncode or -1,
                stdout,
                stderr,
                batch_size=self.job.batch_size,
                near_cap=peak_bytes >= NEAR_CAP * self.cap.cap_bytes,
                cgroup_oom_kills=ending.cgroup_oom_kills,
            )
            return self._failed(failure)
        if ending.why == "ended" and not self.watch.has_enough:
            if steps == 0 and not has_stepped:
                raise InputError(self._no_step("It ended with status 0", stdout, stderr))
            return self._measurement(Verdict.CRASH, *self._too_short(), phase="data")
        if found := evidence.non_finite():
            return self._measurement(*found)
        return self._measurement(
            *evidence.judge(
                self.job.plan.purpose,
                self.cap,
                peak_bytes,
                spilled_bytes=self.tree.swap_bytes,
                allocator_retries=0,
            )
        )

    def _failed(self, failure: Classified) -> Measurement:
        where = "While training: " if self.watch.evidence.attempted else "Before the first step: "
        measurement = self._measurement(failure.verdict, where + failure.reason, failure.hint)
        return replace(measurement, requested_bytes=failure.requested_bytes)

    def _too_short(self) -> tuple[str, str]:
        steps, least = self.watch.evidence.attempted, self.watch.least_steps
        size = self.job.batch_size
        return (
            f"It ended by itself after {steps} steps; a {self.job.plan.purpose} probe needs "
            f"{least} at least: the data set seems to be shorter than that many batches of {size}.",
            "Let it train for longer (more epochs, a larger --max-steps: {steps} stands for what a "
            "probe takes at most), or give it more data; Tonnage ends it when it has seen enough.",
        )

    def _no_step(self, how: str, stdout: str, stderr: str) -> str:
        where = (
            f"the log {self.command.log}"
            if self.command.log
            else f"its output, by the pattern {self.command.step_pattern}"
        )
        return (
            f"{how}, and no step was recognised in {where}.\nCommand: {self.shown}\n"
            f"{last_lines(stdout, stderr)}\n"
            'Print a line after each optimizer step, print("tonnage step", flush=True), or say '
            r"how its own lines look: --step 'iter (?P<step>\d+)'."
        )

    def _measurement(
        self, verdict: Verdict, reason: str, hint: str, phase: str = ""
    ) -> Measurement:
        job, cap, evidence = self.job, self.cap, self.watch.evidence
        peak_bytes, growth = self.tree.peak_bytes, None
        if job.plan.purpose is Purpose.CONFIRM and evidence.has_trend():
            growth = evidence.growth(cap.cap_bytes, peak_bytes)
        if not phase:
            phase = "done" if verdict is Verdict.STABLE else "train"
            phase = phase if evidence.attempted else "start"
        return Measurement(
            workload=job.workload.label,
            config=job.config,
            batch_size=job.batch_size,
            device=job.device,
            purpose=job.plan.purpose,
            verdict=verdict,
            reason=reason,
            hint=hint,
            limit_bytes=cap.limit_bytes,
            headroom=job.headroom,
            cap_bytes=cap.cap_bytes,
            overhead_bytes=cap.overhead_bytes,
            peak_bytes=peak_bytes,
            static_bytes=evidence.static_bytes,
            phase_peak_bytes=evidence.phase_peaks,
            step_time=evidence.step_time(job.plan.half_width, job.device.partition(":")[0]),
            growth=growth,
            trace=evidence.trace(),
            steps=evidence.attempted,
            samples=evidence.attempted * job.batch_size * job.accumulation,
            accumulation=job.accumulation,
            first_loss=_finite(evidence.losses[0]) if evidence.losses else None,
            last_loss=_finite(evidence.losses[-1]) if evidence.losses else None,
            notes=self.notes,
            phase=phase,
        )


def _read(readers: Mapping[str, OutputSteps], pieces: list[Output]) -> list[Seen]:
    return [seen for p in pieces for seen in readers[p.stream].read(p.data, p.at_s)]


def _with_window(measurement: Measurement, window: Window | None) -> Measurement:
    if window is None:
        return measurement
    return replace(
        measurement,
        tainted=[*measurement.tainted, *window.taints],
        notes=[*measurement.notes, *window.notes],
        state=window.to_dict(),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _version(text: str) -> tuple[int, int]:
    major, minor = [*text.split(".")[:2], "0", "0"][:2]
    return (int(major), int(minor)) if major.isdigit() and minor.isdigit() else (0, 0)
