"""The parent's side of a worker: start it, listen to it, and end it whatever it does.

A worker runs in a session of its own. Everything it says arrives over pipes held by this object,
so nothing is left on disk; when it is closed its whole process group is killed, and when this
process dies its guardian (see ``worker/boot.py``) does the same.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from probes.devices.host import cgroup_oom_kills
from probes.errors import MeasurementError

PACKAGE = Path(__file__).resolve().parent
TAIL_BYTES = 8192
DRAIN_S = 1.0
EXIT_S = 10.0
"""How long a process that has answered may take to go away before it is killed."""

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Timeouts:
    """How long a worker may be silent before it is taken for hung. Seconds."""

    startup_s: float = 180.0
    """Interpreter, imports, building the model."""
    step_s: float = 60.0
    """One training step; raised to ``STEP_PATIENCE`` times the last step seen."""
    probe_s: float = 1800.0
    """The whole job."""


STEP_PATIENCE = 20
FIRST_STEP_PATIENCE = 5
"""The first steps compile kernels and choose algorithms: they get this multiple of ``step_s``."""


@dataclass
class Answer:
    """What came of a job: a result, or how the worker ended without one."""

    result: dict[str, Any] | None = None
    returncode: int | None = None
    """Of the process that ended; negative for a signal, as in ``subprocess``."""
    reusable: bool = False
    """Whether the worker can take another job, in a process as fresh as the first."""
    timed_out: str = ""
    """What it was doing when it was given up, in words; empty if it was not."""
    last_progress: dict[str, Any] = field(default_factory=dict)
    stdout_tail: str = ""
    stderr_tail: str = ""
    wall_s: float = 0.0
    cgroup_oom_kills: int = 0

    @property
    def never_began(self) -> bool:
        """Whether the worker was gone before it said anything about this job."""
        return self.result is None and not self.last_progress and not self.timed_out


class Worker:
    """One worker process, which answers each job from a fresh fork of itself where it can.

    Use as a context manager: leaving it kills the process group.

    Raises ``MeasurementError`` when the interpreter cannot be started at all.
    """

    def __init__(self, python: str, environment: Mapping[str, str] | None = None) -> None:
        job_read, self._job_write = os.pipe()
        self._message_read, message_write = os.pipe()
        lifeline_read, self._lifeline_write = os.pipe()
        passed = (job_read, message_write, lifeline_read)
        command = [python, str(PACKAGE / "worker" / "boot.py"), str(PACKAGE), *map(str, passed)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=worker_environ(environment or {}),
                pass_fds=passed,
                start_new_session=True,
            )
        except OSError as error:
            for fd in (self._job_write, self._message_read, self._lifeline_write):
                os.close(fd)
            raise MeasurementError(
                f"The interpreter {python} could not be started: {error.strerror or error}. "
                "Give the Python of your training environment with --python."
            ) from None
        finally:
            for fd in passed:
                os.close(fd)
        assert self._process.stdout is not None and self._process.stderr is not None
        self._tails = {
            self._process.stdout.fileno(): bytearray(),
            self._process.stderr.fileno(): bytearray(),
        }
        self._stdout_fd, self._stderr_fd = self._tails
        self._pending = b""
        self._closed = False

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    @property
    def pid(self) -> int:
        """Of the guardian, which leads the process group."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        return not self._closed and self._process.poll() is None

    def request(
        self, job: Mapping[str, Any], timeouts: Timeouts, on_progress: Progress | None = None
    ) -> Answer:
        """Send a job and wait for its answer, its death or its time-out. Never raises for those."""
        began_s = time.monotonic()
        kills_before = cgroup_oom_kills()
        answer = Answer()
        data = (json.dumps(job) + "\n").encode()
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._job_write, data) :]
        self._listen(answer, _Patience(timeouts, began_s), on_progress)
        if answer.result is None and not answer.reusable:
            self._end(answer)
        answer.cgroup_oom_kills = cgroup_oom_kills() - kills_before
        answer.stdout_tail, answer.stderr_tail = self._take_tails()
        answer.wall_s = time.monotonic() - began_s
        return answer

    def _listen(self, answer: Answer, patience: _Patience, on_progress: Progress | None) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._message_read, selectors.EVENT_READ)
            for fd in self._tails:
                selector.register(fd, selectors.EVENT_READ)
            while True:
                remaining_s = patience.remaining_s(time.monotonic())
                if remaining_s <= 0:
                    # A result that is there counts, even if its process does not go away.
                    answer.timed_out = "" if answer.result else patience.words()
                    return
                for key, _ in selector.select(remaining_s):
                    data = os.read(key.fd, 65536)
                    if key.fd != self._message_read:
                        if data:
                            self._keep(key.fd, data)
                        else:
                            selector.unregister(key.fd)
                    elif not data:
                        return  # the worker is gone
                    elif self._take(data, answer, patience, on_progress):
                        self._drain_output()
                        return

    def _take(
        self, data: bytes, answer: Answer, patience: _Patience, on_progress: Progress | None
    ) -> bool:
        """Read messages; true when the job is over."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            try:
                message = json.loads(line)
            except ValueError:  # the writer died in the middle of it, or it is empty
                continue
            if message["event"] == "result":
                answer.result = message
                patience.heard({"phase": "exit"}, time.monotonic())
                if message["used_up"]:
                    return True
            elif message["event"] == "ended":
                answer.returncode = message["returncode"]
                answer.reusable = True
                return True
            else:
                answer.last_progress = {**answer.last_progress, **message}
                patience.heard(message, time.monotonic())
                if on_progress is not None:
                    on_progress(message)
        return False

    def _keep(self, fd: int, data: bytes) -> None:
        tail = self._tails[fd]
        tail += data
        del tail[:-TAIL_BYTES]

    def _drain_output(self) -> None:
        """Take what has been printed already; wait for nothing."""
        for fd in self._tails:
            os.set_blocking(fd, False)
            with contextlib.suppress(BlockingIOError):
                while data := os.read(fd, 65536):
                    self._keep(fd, data)
            os.set_blocking(fd, True)

    def _end(self, answer: Answer) -> None:
        """No result: find out how it ended, or end it."""
        if not answer.timed_out:
            try:
                answer.returncode = self._process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                answer.timed_out = "ending (it closed its pipe but did not exit)"
        self._kill_group()
        self._process.wait()
        deadline_s = time.monotonic() + DRAIN_S
        with selectors.DefaultSelector() as selector:
            for fd in self._tails:
                selector.register(fd, selectors.EVENT_READ)
            while selector.get_map() and (left_s := deadline_s - time.monotonic()) > 0:
                for key, _ in selector.select(left_s):
                    if data := os.read(key.fd, 65536):
                        self._keep(key.fd, data)
                    else:
                        selector.unregister(key.fd)

    def _take_tails(self) -> tuple[str, str]:
        """What was printed since the last job."""
        stdout, stderr = (
            self._tails[fd].decode(errors="replace") for fd in (self._stdout_fd, self._stderr_fd)
        )
        for tail in self._tails.values():
            tail.clear()
        return stdout, stderr

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill the process group and wait for it. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._kill_group()
        self._process.wait()
        for fd in (self._job_write, self._message_read, self._lifeline_write):
            os.close(fd)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


class _Patience:
    """How long to go on waiting, given what the worker last said."""

    def __init__(self, timeouts: Timeouts, began_s: float) -> None:
        self.timeouts = timeouts
        self.began_s = began_s
        self.heard_s = began_s
        self.phase = "start"
        self.step = 0
        self.step_s: float | None = None

    def heard(self, message: Mapping[str, Any], now_s: float) -> None:
        self.heard_s = now_s
        self.phase = str(message.get("phase", self.phase))
        self.step = int(message.get("step", self.step))
        if message.get("step_s") is not None:
            self.step_s = float(message["step_s"])

    def allowed_s(self) -> float:
        if self.phase == "exit":
            return EXIT_S
        if self.phase in ("start", "import", "build"):
            return self.timeouts.startup_s
        if self.step_s is None:
            return self.timeouts.step_s * FIRST_STEP_PATIENCE
        return max(self.timeouts.step_s, STEP_PATIENCE * self.step_s)

    def remaining_s(self, now_s: float) -> float:
        whole_s = self.timeouts.probe_s - (now_s - self.began_s)
        return min(self.allowed_s() - (now_s - self.heard_s), whole_s)

    def words(self) -> str:
        now_s = time.monotonic()
        if now_s - self.began_s >= self.timeouts.probe_s:
            return f"still in phase {self.phase!r} after {self.timeouts.probe_s:.0f} s"
        where = f"phase {self.phase!r}"
        if self.phase == "train":
            where += f", step {self.step + 1}"
        return f"silent for {self.allowed_s():.0f} s in {where}"


def worker_environ(extra: Mapping[str, str]) -> dict[str, str]:
    """The worker's environment: the user's own, plus what makes output and memory observable."""
    environ = dict(os.environ)
    environ.pop("PYTHONHOME", None)
    environ.setdefault("PYTHONUNBUFFERED", "1")
    environ.setdefault("PYTHONFAULTHANDLER", "1")
    environ.update(extra)
    return environ
