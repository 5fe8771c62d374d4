"""One run of a command under way: started, watched step by step, and ended. What it means is said
in ``judge``."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from probes.black_box import gpu, template
from probes.black_box.command import Command
from probes.black_box.discovery.earlier import EarlierRun
from probes.black_box.footprint import Footprint
from probes.black_box.logs import StepLog, open_log
from probes.black_box.pace import Pace, allowed_silence_s, allowed_start_s
from probes.black_box.resident import ResidentTree
from probes.black_box.step_reader import StepReader
from probes.black_box.steps import Passed, Seen, StepClock
from probes.black_box.tree import ROOM_BEFORE_STEPS, CpuTree
from probes.black_box.watch import StepWatch
from probes.black_box.windows import Look
from probes.devices import host
from probes.devices.base import MemoryCap, checked_limit
from probes.devices.environment import process_environment, worker_environment
from probes.devices.machine import Machine
from probes.devices.nvml import NvmlDevice
from probes.devices.reading import Missing
from probes.devices.telemetry import Telemetry, TelemetryWindow
from probes.errors import InputError, MeasurementError
from probes.formatting import size_text
from probes.job import ProbeJob
from probes.processes.launch import GuardedProcess, Output, StartError
from probes.timeouts import Progress, Timeouts

POLL_BEFORE_STEPS_S = 0.02
POLL_S = 0.05
PRINTING_PATIENCE = 5.0
"""A command that prints without making steps, as in an evaluation, is given this many times the
patience for one that is silent."""
PRINTS_WITHIN_S = 10.0
"""A command that has printed within this time is not silent."""
FIND_S = 0.2
"""Seconds between two searches for new processes."""
SIGNS_BEFORE_ENFORCED = 3
"""After this many signs of steps the kernel holds the command to the budget. Until then it is only
watched: if the first signs are misread or a first step loads further libraries, the kernel must not
refuse memory that the budget allows."""
LEAST_LINES_PER_EPOCH = 4
"""With fewer lines in an epoch, none of them says that its end is near."""

LIVE_BARS = {"TTY_COMPATIBLE": "1", "COLUMNS": "160"}
"""Rich draws no bar into a pipe before its end, and Lightning draws with Rich, unless told to."""


class Tree(Protocol):
    """Memory of a process tree, in bytes."""

    peak_bytes: int
    high_bytes: int | None
    """The most resident memory since the last look, files aside; ``None`` where the system does
    not keep it."""
    swap_bytes: int
    notes: list[str]

    def find(self) -> None: ...

    def held_bytes(self) -> int: ...

    def enforce(self) -> None: ...

    def relax(self) -> None: ...


@dataclass
class Observed:
    """What was seen of a run, from outside."""

    shown: str
    """The command as a person would type it."""
    environ: dict[str, str]
    cap: MemoryCap
    watch: StepWatch
    why: str = ""
    """How the watching ended: ``done``, ``over`` (the cap), ``ended`` (by itself), ``timeout``."""
    steps_from: str = ""
    """What the steps were read from, where that was found in the output, in one sentence."""
    step_pattern: str = ""
    """A pattern for ``--step`` that takes the same lines."""
    was_printing: bool = False
    """With a time-out: output still came."""
    not_understood: str = ""
    """What was printed and what to add, where no step was recognised in the output."""
    steps_per_sign: int = 1
    """Steps from one line to the next, in this run or in earlier ones."""
    is_evaluating: bool = False
    """It ended in an evaluation, or at the end of an epoch."""
    steps_ahead: int | None = None
    """Steps to the end of the epoch, where that is known."""
    late: str = ""
    """With a time-out: what it was, in words."""
    peak_bytes: int = 0
    swap_bytes: int = 0
    cgroup_oom_kills: int = 0
    returncode: int | None = None
    stdout_tail: str = ""
    stderr_tail: str = ""
    notes: list[str] = field(default_factory=list)
    window: TelemetryWindow | None = None
    """The machine meanwhile."""


class CommandRun:
    """Starts a command for a job and watches it to its end; ``observe`` once."""

    def __init__(
        self,
        job: ProbeJob,
        command: Command,
        python: str,
        timeouts: Timeouts,
        footprint: Footprint,
        on_progress: Progress | None = None,
        earlier: EarlierRun | None = None,
        usual: Pace | None = None,
    ) -> None:
        """``usual``: how earlier runs of the command showed their steps."""
        self.job = job
        self.command = command
        self.python = python
        self.timeouts = timeouts
        self.footprint = footprint
        self.on_progress = on_progress
        self.usual = usual
        self.pace = Pace()
        """The one of this run."""
        self.clock = StepClock()
        self._signs = 0
        self._gap_s = 0.0
        """Time between the last two signs of steps."""
        self._peak_bytes = 0
        """At the last step."""
        self.was_printing = False
        samples = job.batch_size * job.accumulation
        self.reader = StepReader(command.step, samples, command.dataset_size, earlier)
        self.notes: list[str] = []
        self.cap = self._cap()
        self.watch = StepWatch(job.plan, self.cap)

    def observe(self, telemetry: Telemetry | None = None) -> Observed:
        """Raises ``InputError`` where the command cannot be started, ``MeasurementError`` where
        its memory cannot be read."""
        try:
            return self._observe(telemetry)
        except StartError as error:
            raise InputError(
                f"The command could not be started in {self.command.folder}: {error}."
            ) from None

    def _observe(self, telemetry: Telemetry | None) -> Observed:
        with _folder("tonnage-run-") as run_dir, self._config_folder() as config_dir:
            values = self.command.values(self.job, run_dir, self.python, config_dir)
            if self.command.config:
                Path(values["config"]).write_text(self.command.config_text(values))
            environ = self._environ(values)
            seen = Observed(self.command.shown(values), environ, self.cap, self.watch)
            limit = self.cap.cap_bytes + self.footprint.start_bytes + ROOM_BEFORE_STEPS
            with GuardedProcess(
                self.command.argv(values),
                cwd=self.command.folder,
                environ=environ,
                address_limit=limit if self._is_limited() else 0,
            ) as process:
                tree = self._tree(process)
                if telemetry is not None:
                    telemetry.begin(process.guardian_pid)
                kills_before = host.cgroup_oom_kills()
                try:
                    seen.why, seen.late = self._watch(process, tree, self._log(values))
                finally:
                    seen.window = telemetry.end() if telemetry is not None else None
                seen.cgroup_oom_kills = host.cgroup_oom_kills() - kills_before
                process.end()
                seen.stdout_tail, seen.stderr_tail = process.take_tails()
        seen.steps_from, seen.step_pattern = self.reader.source, self.reader.pattern
        seen.was_printing = self.was_printing
        seen.steps_per_sign = self.pace.slowest(self.usual).steps_per_sign
        seen.steps_ahead = self.reader.steps_ahead(self.watch.evidence.attempted)
        seen.is_evaluating = self._is_evaluating(seen.steps_ahead)
        seen.not_understood = self.reader.explanation() if not self.command.log else ""
        seen.returncode = process.returncode
        seen.peak_bytes, seen.swap_bytes = tree.peak_bytes, tree.swap_bytes
        seen.notes = [*self.notes, *tree.notes]
        return seen

    def _is_evaluating(self, steps_ahead: int | None) -> bool:
        """As far as the output tells. Lines may come every few steps only: near the end of a short
        epoch they tell nothing."""
        if self.clock.first is None:
            return False
        epoch, stride = self.reader.epoch_steps, self.pace.steps_per_sign
        near = steps_ahead is not None and steps_ahead <= stride
        is_long = epoch is not None and epoch >= LEAST_LINES_PER_EPOCH * stride
        return (near and is_long) or self.reader.landmarks.is_under_way

    def _config_folder(self) -> AbstractContextManager[str]:
        """Where the filled configuration file goes: not into ``{run_dir}``, which is empty."""
        return _folder("tonnage-config-") if self.command.config else nullcontext("")

    # -- before ----------------------------------------------------------------------------

    def _is_limited(self) -> bool:
        return self.job.device == "cpu" and sys.platform.startswith("linux")

    def _cap(self) -> MemoryCap:
        job, limit = self.job, self.footprint.limit_bytes
        if job.device != "cpu":
            cap = int(limit * (1 - job.headroom))
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
        environ = process_environment(worker_environment(kind))
        for name, value in LIVE_BARS.items():
            environ.setdefault(name, value)
        environ.update(gpu.visible_devices(self.job.device, environ))
        if kind == "cuda" and self.footprint.torch_version >= (2, 10):
            free = self.cap.cap_bytes - self.cap.overhead_bytes
            environ.update(gpu.torch_cap(environ, free / self.footprint.total_bytes))
        environ.update(self.command.environment(values))
        return environ

    def _log(self, values: Mapping[str, Any]) -> StepLog | None:
        if not self.command.log:
            return None
        path = self.command.folder / template.fill(self.command.log, values)
        return open_log(path, self.command.step)

    def _tree(self, process: GuardedProcess) -> Tree:
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

    def _watch(self, process: GuardedProcess, tree: Tree, log: StepLog | None) -> tuple[str, str]:
        """Why it is enough (see ``Observed.why``), and what is late."""
        began_s = heard_s = time.monotonic()
        find_s = 0.0
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
            self.watch.see(Look(now_s, held_bytes, tree.peak_bytes, tree.high_bytes))
            self.reader.heard(pieces)
            if log is None:
                seen = self._read(pieces, now_s, tree)
            else:
                seen = self.reader.beside_log(pieces, log.read())
            done = self._add(self._passed(seen, tree), held_bytes, tree.peak_bytes)
            if seen:
                if not stepping:
                    self.pace = self.pace.slowest(Pace(now_s - began_s))
                heard_s = now_s
                self._say("train")
            if tree.peak_bytes > self.cap.cap_bytes and not ended:
                return "over", ""
            if done:
                return "done", ""
            if ended:
                return "ended", ""
            late = self._late(now_s, began_s, heard_s)
            if self.watch.has_waited_enough(now_s) or (late and self.watch.is_waiting):
                return "done", ""  # what it had to show besides an evaluation was shown
            if late:
                self.was_printing = now_s - (self.reader.last_output_s or 0.0) < PRINTS_WITHIN_S
                return "timeout", late

    def _add(self, steps: list[Passed], held_bytes: int, peak_bytes: int) -> bool:
        """Whether these steps were enough. Those that arrived together with an evaluation after
        them had the peak of before it."""
        evaluated_at = next((i for i, passed in enumerate(steps) if passed.evaluated), 0)
        for i, passed in enumerate(steps):
            if i >= evaluated_at:
                self._peak_bytes = peak_bytes
            self.pace = self.pace.slowest(Pace(steps_per_sign=passed.count))
            self._gap_s = passed.each_s * passed.count
            ahead = self.reader.steps_ahead(self.watch.evidence.attempted + passed.count)
            if self.watch.add(passed, held_bytes, self._peak_bytes, ahead):
                return True
        return False

    def _read(self, pieces: list[Output], now_s: float, tree: Tree) -> list[Seen]:
        """The steps in the output. Where other lines than before turn out to be the steps, the
        measurement starts again with them."""
        before = self.reader.revision
        seen = self.reader.read(pieces)
        if self.reader.revision != before:
            self.clock = StepClock()
            self.watch.restart()
            if self._signs >= SIGNS_BEFORE_ENFORCED:
                tree.relax()
            self._signs = 0
            self._tell(self.reader.source, self.reader.pattern)
        elif self.clock.first is None and (text := self.reader.overdue(now_s)):
            self._tell(text, "not understood")
        return seen

    def _tell(self, note: str, about: str) -> None:
        """Notes about the same thing are shown once in a search."""
        if self.on_progress is not None:
            phase = "train" if self.reader.source else "start"
            self.on_progress({"phase": phase, "note": note, "about": about})

    def _passed(self, seen: list[Seen], tree: Tree) -> list[Passed]:
        before = self.clock.first
        passed = self.clock.passed(seen)
        if before is None and self.clock.first is not None:
            self.watch.begin()
            tree.find()
            tree.held_bytes()
        signs = self._signs + len(seen)
        if self._signs < SIGNS_BEFORE_ENFORCED <= signs:
            tree.find()
            tree.enforce()
            tree.held_bytes()
        self._signs = signs
        return passed

    def _late(self, now_s: float, began_s: float, stepped_s: float) -> str:
        """Why no longer to wait; empty while there is hope. ``stepped_s``: when the last step was
        seen."""
        times, expected, gap_s = self.timeouts, self.job.expected_step, self._gap_s
        silent_s = now_s - max(stepped_s, self.reader.last_output_s or 0.0)
        why = f", {expected.words()}" if expected is not None else ""
        if self.clock.first is None:
            known = expected if silent_s > PRINTS_WITHIN_S else None
            allowed_s = allowed_start_s(times, known, self.usual)
            late = now_s - began_s > allowed_s
            return f"without a step for {allowed_s:.3g} s{why}" if late else ""
        allowed_s = allowed_silence_s(times, expected, self.usual, gap_s)
        step = self.watch.evidence.attempted + 1
        if silent_s > allowed_s:
            return f"silent for {allowed_s:.3g} s in step {step}{why}"
        if now_s - stepped_s > PRINTING_PATIENCE * times.allowed_step_s(gap_s):
            return f"printing for {now_s - stepped_s:.0f} s without a step after step {step - 1}"
        if now_s - began_s > times.probe_s:
            return f"still running after {times.probe_s:.0f} s"
        return ""

    def _say(self, phase: str) -> None:
        if self.on_progress is not None:
            step, of = self.watch.evidence.attempted, self.watch.least_steps
            self.on_progress({"phase": phase, "step": step, "of": max(step, of)})


def _folder(prefix: str) -> AbstractContextManager[str]:
    return tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)
