"""The parent's side of a worker: send it a job, listen to it, and end it whatever it does.

Everything that a worker says arrives over pipes held by this object, so nothing is left on disk.
How it is started and ended is in ``processes``.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probes.devices import host
from probes.devices.environment import process_environment
from probes.devices.host import cgroup_oom_kills
from probes.errors import MeasurementError
from probes.processes.launch import GuardedProcess, StartError
from probes.timeouts import ExpectedStep, Patience, Progress, Timeouts

PACKAGE = Path(__file__).resolve().parent
CALLED_OFF_S = 1.0
"""How long a worker may take to see the end of a job that was called off; then it is killed too."""
EXIT_STATUS_S = 5.0
"""How long a worker that has closed its pipe may take to exit."""


@dataclass
class WorkerReply:
    """What came of a job: a result, or how the worker ended without one."""

    result: dict[str, Any] | None = None
    returncode: int | None = None
    """Exit status of the process that ended; negative for a signal, as in ``subprocess``."""
    reusable: bool = False
    """Whether the worker can take another job, in a process as fresh as the first."""
    called_off: bool = False
    """Whether it was ended because its answer was no longer wanted."""
    pulse: dict[str, Any] = field(default_factory=dict)
    """The last sign of life of a rank that waits (see ``probes.ranks.pulse``), and when it came."""
    answered_s: float = 0.0
    """When the result or the end came, by the monotonic clock."""
    lost: str = ""
    """Why the host that it ran on is gone; empty for one on this host, or one that is there."""
    timed_out: str = ""
    """What it was doing when it was ended for taking too long, in words; else empty."""
    last_progress: dict[str, Any] = field(default_factory=dict)
    stdout_tail: str = ""
    stderr_tail: str = ""
    wall_s: float = 0.0
    cgroup_oom_kills: int = 0

    @property
    def never_began(self) -> bool:
        """Whether the worker was gone before it said anything about this job."""
        return not (self.result or self.last_progress or self.timed_out or self.lost)


class Call:
    """A request under way, for another thread: what is known so far, and a way to call it off."""

    def __init__(self, *, poll_s: float = float("inf")) -> None:
        self.reply = WorkerReply()
        self.poll_s = poll_s
        """How long it may take until a call-off is noticed."""
        self.off_s = 0.0
        self._off = threading.Event()

    @property
    def is_off(self) -> bool:
        return self._off.is_set()

    def call_off(self) -> None:
        """Its answer is no longer wanted: what works on it is killed."""
        self.off_s = self.off_s or time.monotonic()
        self._off.set()


class Worker:
    """One worker process, which answers each job from a fresh fork of itself where it can.

    Use as a context manager: leaving it ends the worker and everything it started.
    """

    def __init__(
        self,
        python: str,
        environment: Mapping[str, str] | None = None,
        keep_fds: Sequence[int] = (),
    ) -> None:
        """``keep_fds`` are file descriptors that the worker finds open under the same numbers."""
        self.python = python
        job_read, self._job_write = os.pipe()
        message_read, message_write = os.pipe()
        passed = (job_read, message_write)
        self._pending = b""
        self._closed = False
        try:
            self._process = GuardedProcess(
                [python, str(PACKAGE / "worker" / "boot.py"), str(PACKAGE), *map(str, passed)],
                environ=process_environment(environment or {}),
                pass_fds=(*passed, *keep_fds),
                messages_fd=message_read,
            )
        except StartError as error:
            self._closed = True
            os.close(self._job_write)
            os.close(message_read)
            raise self._not_started(error) from None
        finally:
            for fd in passed:
                os.close(fd)

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    @property
    def pid(self) -> int:
        """Process id of the guardian, the root of the process tree."""
        return self._process.guardian_pid

    @property
    def alive(self) -> bool:
        if not self._closed:
            self._process.poll()
        return self._process.running

    def state_of(self, pid: int) -> str | None:
        """The kernel's letter for the state of a process that answers a job."""
        return host.process_state(pid)

    def request(
        self,
        job: Mapping[str, Any],
        timeouts: Timeouts,
        on_progress: Progress | None = None,
        expected: ExpectedStep | None = None,
        call: Call | None = None,
    ) -> WorkerReply:
        """Send a job and wait for its result, its death or its time-out; none of them is raised.
        Where it is known how long a step should take, one is not waited for much longer. ``call``
        can be looked at, and called off, from another thread.

        Raises ``MeasurementError`` when the interpreter cannot be started at all.
        """
        began_s = time.monotonic()
        kills_before = cgroup_oom_kills()
        call = call or Call()
        reply = call.reply
        data = (json.dumps(job) + "\n").encode()
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._job_write, data) :]
        try:
            self._listen(call, Patience(timeouts, began_s, expected), on_progress)
        except StartError as error:
            raise self._not_started(error) from None
        reply.answered_s = reply.answered_s or time.monotonic()
        if reply.result is None and not reply.reusable:
            self._find_out_how_it_ended(reply)
        reply.cgroup_oom_kills = cgroup_oom_kills() - kills_before
        reply.stdout_tail, reply.stderr_tail = self._process.take_tails()
        reply.wall_s = time.monotonic() - began_s
        return reply

    def _listen(self, call: Call, patience: Patience, on_progress: Progress | None) -> None:
        reply = call.reply
        while True:
            remaining_s = patience.remaining_s(time.monotonic())
            if call.is_off and not reply.called_off:
                reply.called_off = True
                self._end_fork(reply)
            if reply.called_off:
                remaining_s = call.off_s + CALLED_OFF_S - time.monotonic()
                if remaining_s <= 0:
                    return
            elif remaining_s <= 0:
                # A result that is there counts, even if its process does not go away.
                reply.timed_out = "" if reply.result else patience.words()
                return
            pieces = self._process.wait(min(remaining_s, call.poll_s))
            if not self._process.running:
                pieces += self._process.drain()
            for piece in pieces:
                if piece.stream == "messages" and self._take(
                    piece.data, reply, patience, on_progress
                ):
                    while self._process.wait(0):  # what has been printed already
                        pass
                    return
            if not self._process.running or not self._process.is_open("messages"):
                return

    def _take(
        self, data: bytes, reply: WorkerReply, patience: Patience, on_progress: Progress | None
    ) -> bool:
        """Read messages; true when the job is over."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:  # the writer died in the middle of it, or it is empty
                continue
            if message["event"] == "result":
                reply.result = message
                reply.answered_s = reply.answered_s or time.monotonic()
                patience.heard({"phase": "exit"}, time.monotonic())
                if message["used_up"]:
                    return True
            elif message["event"] == "pulse":
                reply.pulse = {**message, "at_s": time.monotonic()}
            elif message["event"] == "measured":
                if on_progress is not None:
                    on_progress(message)
            elif message["event"] == "ended":
                reply.returncode = message["returncode"]
                reply.reusable = True
                return True
            else:
                reply.last_progress = {**reply.last_progress, **message}
                patience.heard(message, time.monotonic())
                if on_progress is not None:
                    on_progress(message)
        return False

    def _end_fork(self, reply: WorkerReply) -> None:
        """End what answers the job; the process that it was forked from remains, if there is one,
        and can take another job."""
        pid = reply.last_progress.get("pid")
        if pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(int(pid), signal.SIGKILL)

    def _find_out_how_it_ended(self, reply: WorkerReply) -> None:
        """Without a result: wait for the exit status for a moment, else kill it."""
        deadline_s = time.monotonic() + EXIT_STATUS_S
        while not reply.timed_out and not reply.called_off and self._process.running:
            if (left_s := deadline_s - time.monotonic()) <= 0:
                reply.timed_out = "ending (it closed its pipe but did not exit)"
            else:
                self._process.wait(left_s)
        if not reply.timed_out and not reply.called_off:
            reply.returncode = self._process.returncode
        self._process.kill()
        self._process.drain()

    def _not_started(self, error: StartError) -> MeasurementError:
        return MeasurementError(
            f"The interpreter {self.python} could not be started: {error}. "
            "Give the Python of your training environment with --python."
        )

    def close(self) -> None:
        """End the worker with all it started, and wait for that. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._process.close()
        os.close(self._job_write)
