"""The parent's side of a process that trains: start it, read what it says, end all it started."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
TAIL_BYTES = 8192
TERM_GRACE_S = 2.0
"""How long a program may take to end by itself after SIGTERM. Its work is worth nothing."""
DRAIN_S = 0.5
GUARDIAN_END_S = 10.0


class StartError(Exception):
    """The program could not be started; the message says why."""


@dataclass(frozen=True)
class Output:
    """A piece of what the process wrote."""

    stream: str
    """``stdout``, ``stderr`` or ``messages``."""
    data: bytes
    at_s: float


class GuardedProcess:
    """One program with all it starts. Use as a context manager: leaving it ends the whole tree.

    The program keeps ``pass_fds`` open; this object reads ``messages_fd`` beside its output and
    closes it in the end. ``address_limit`` is in bytes; 0 sets none. Of each output stream the
    last ``tail_bytes`` are kept.

    Raises ``StartError`` when the program cannot be started; ``wait`` may do so too.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        environ: Mapping[str, str],
        cwd: Path | None = None,
        address_limit: int = 0,
        pass_fds: Sequence[int] = (),
        messages_fd: int | None = None,
        tail_bytes: int = TAIL_BYTES,
    ) -> None:
        self._status_read, status_write = os.pipe()
        lifeline_read, self._lifeline_write = os.pipe()
        numbers = [status_write, lifeline_read, address_limit, *pass_fds]
        started = [sys.executable, "-I", "-S", str(GUARD), *map(str, numbers), "--", *argv]
        self.returncode: int | None = None
        """Exit status of the program, as in ``subprocess``; ``None`` while it runs."""
        self.pid = 0
        """Process id of the program, which leads its process group; 0 until it has started."""
        self._tails = {"stdout": bytearray(), "stderr": bytearray()}
        self._tail_bytes = tail_bytes
        self._closed = False
        self._status_rest = b""
        self._failed = ""
        try:
            self._guardian = subprocess.Popen(
                started,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=cwd,
                env=dict(environ),
                pass_fds=(status_write, lifeline_read, *pass_fds),
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._closed = True
            os.close(self._status_read)
            os.close(self._lifeline_write)
            raise StartError(str(error)) from None
        finally:
            os.close(status_write)
            os.close(lifeline_read)
        assert self._guardian.stdout is not None and self._guardian.stderr is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._status_read, selectors.EVENT_READ, "status")
        self._selector.register(self._guardian.stdout, selectors.EVENT_READ, "stdout")
        self._selector.register(self._guardian.stderr, selectors.EVENT_READ, "stderr")
        self._messages_fd = messages_fd
        if messages_fd is not None:
            self._selector.register(messages_fd, selectors.EVENT_READ, "messages")

    def __enter__(self) -> GuardedProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    @property
    def guardian_pid(self) -> int:
        """The root of the process tree: everything below it is the program or was started by it."""
        return self._guardian.pid

    @property
    def running(self) -> bool:
        return not self._closed and self.returncode is None

    def poll(self) -> None:
        """Take note of what has been written and whether the program has ended, without waiting."""
        with contextlib.suppress(StartError):
            self.wait(0)

    def is_open(self, stream: str) -> bool:
        """Whether a process can still write to ``stdout``, ``stderr`` or ``messages``."""
        return any(key.data == stream for key in self._selector.get_map().values())

    def wait(self, timeout_s: float) -> list[Output]:
        """What it writes within the time, as soon as there is something; empty when nothing came
        or it ended. Raises ``StartError`` when it could not be started."""
        found: list[Output] = []
        for key, _ in self._selector.select(timeout_s):
            try:
                data = os.read(key.fd, 65536)
            except OSError:
                data = b""
            if not data:
                self._selector.unregister(key.fileobj)
                if key.data == "status" and self.returncode is None:
                    self.returncode = -int(signal.SIGKILL)  # the guardian itself was killed
            elif key.data == "status":
                self._take_status(data)
            else:
                self._keep(key.data, data)
                found.append(Output(key.data, data, time.monotonic()))
        if self._failed:
            raise StartError(self._failed)
        return found

    def drain(self) -> list[Output]:
        """What it had written when it ended. Waits a moment: a child of it may hold the pipe."""
        found: list[Output] = []
        deadline_s = time.monotonic() + DRAIN_S
        while len(self._selector.get_map()) > 1 and time.monotonic() < deadline_s:
            pieces = self.wait(0.02)
            if not pieces and found:
                break
            found += pieces
        return found

    def end(self) -> None:
        """Ask the process group to end, then kill everything. Safe to call when it has ended."""
        if self.running and self.pid:
            self._signal(signal.SIGTERM)
            deadline_s = time.monotonic() + TERM_GRACE_S
            while self.returncode is None and (left_s := deadline_s - time.monotonic()) > 0:
                self.wait(left_s)
        self.close()

    def kill(self) -> None:
        """Kill the process group; what it wrote before can still be read."""
        if self.returncode is None and self.pid:
            self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Kill the whole tree and wait for it. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self.kill()
        os.close(self._lifeline_write)  # the guardian ends every descendant, then itself
        try:
            self._guardian.wait(timeout=GUARDIAN_END_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._guardian.pid, signal.SIGKILL)
            self._guardian.wait()
        self._selector.close()
        os.close(self._status_read)
        if self._messages_fd is not None:
            os.close(self._messages_fd)
        for stream in (self._guardian.stdout, self._guardian.stderr):
            if stream is not None:
                stream.close()

    def take_tails(self) -> tuple[str, str]:
        """The last of stdout and stderr since the previous call."""
        stdout, stderr = (self._tails[n].decode(errors="replace") for n in ("stdout", "stderr"))
        for tail in self._tails.values():
            tail.clear()
        return stdout, stderr

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def _take_status(self, data: bytes) -> None:
        *lines, self._status_rest = (self._status_rest + data).split(b"\n")
        for line in lines:
            word, _, rest = line.decode().partition(" ")
            if word == "started":
                self.pid = int(rest)
            elif word == "ended":
                self.returncode = int(rest)
            else:
                self._failed = rest

    def _keep(self, name: str, data: bytes) -> None:
        tail = self._tails.get(name)
        if tail is not None:
            tail += data
            del tail[: -self._tail_bytes]
