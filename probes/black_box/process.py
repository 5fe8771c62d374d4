"""The parent's side of a command: start it, read what it prints, end it and all it began."""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from probes.errors import InputError

GUARDIAN = Path(__file__).with_name("guardian.py")
TAIL_BYTES = 8192
TERM_GRACE_S = 2.0
"""How long a command may take to end by itself after SIGTERM. Its work is worth nothing."""
DRAIN_S = 0.5
GUARDIAN_END_S = 10.0


@dataclass(frozen=True)
class Output:
    """A piece of what the command printed."""

    stream: str
    """``stdout`` or ``stderr``."""
    data: bytes
    at_s: float


class CommandProcess:
    """One command under way. Use as a context manager: leaving it ends the whole process tree.

    Raises ``InputError`` when the program cannot be started.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        environ: Mapping[str, str],
        address_limit: int = 0,
    ) -> None:
        self._status_read, status_write = os.pipe()
        lifeline_read, self._lifeline_write = os.pipe()
        passed = (status_write, lifeline_read)
        numbers = [status_write, lifeline_read, address_limit]
        started = [sys.executable, "-I", "-S", str(GUARDIAN), *map(str, numbers), "--", *argv]
        self.returncode: int | None = None
        """Of the command, as in ``subprocess``; ``None`` while it runs."""
        self.pid = 0
        """Of the command, which leads its process group."""
        self._tails = {"stdout": bytearray(), "stderr": bytearray()}
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
                pass_fds=passed,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            os.close(self._status_read)
            os.close(self._lifeline_write)
            raise InputError(f"The command could not be started in {cwd}: {error}") from None
        finally:
            for fd in passed:
                os.close(fd)
        assert self._guardian.stdout is not None and self._guardian.stderr is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._status_read, selectors.EVENT_READ, "status")
        self._selector.register(self._guardian.stdout, selectors.EVENT_READ, "stdout")
        self._selector.register(self._guardian.stderr, selectors.EVENT_READ, "stderr")

    def __enter__(self) -> CommandProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    @property
    def guardian_pid(self) -> int:
        """The root of the tree: not a part of the command, but everything below it is."""
        return self._guardian.pid

    @property
    def running(self) -> bool:
        return self.returncode is None

    def wait(self, timeout_s: float) -> list[Output]:
        """What it prints within the time, as soon as there is something; empty when nothing came
        or it ended. Raises ``InputError`` when it could not be started."""
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
            raise InputError(f"The command could not be started: {self._failed}.")
        return found

    def drain(self) -> list[Output]:
        """What it had printed when it ended. Waits a moment: a child of it may hold the pipe."""
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
        if self.returncode is None and self.pid:
            self._signal(signal.SIGTERM)
            deadline_s = time.monotonic() + TERM_GRACE_S
            while self.returncode is None and (left_s := deadline_s - time.monotonic()) > 0:
                self.wait(left_s)
        self.close()

    def close(self) -> None:
        """Kill the whole tree and wait for it. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self.returncode is None and self.pid:
            self._signal(signal.SIGKILL)
        os.close(self._lifeline_write)  # the guardian ends every descendant, then itself
        try:
            self._guardian.wait(timeout=GUARDIAN_END_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._guardian.pid, signal.SIGKILL)
            self._guardian.wait()
        self._selector.close()
        os.close(self._status_read)
        for stream in (self._guardian.stdout, self._guardian.stderr):
            if stream is not None:
                stream.close()

    def tails(self) -> tuple[str, str]:
        """The last of stdout and stderr."""
        stdout, stderr = (self._tails[n].decode(errors="replace") for n in ("stdout", "stderr"))
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
        tail = self._tails[name]
        tail += data
        del tail[:-TAIL_BYTES]


def limit_addresses(pid: int, limit_bytes: int) -> None:
    """Set the address-space limit of a running process of ours. Linux only."""
    with contextlib.suppress(ProcessLookupError, PermissionError, ValueError):
        hard = resource.prlimit(pid, resource.RLIMIT_AS)[1]  # type: ignore[attr-defined,unused-ignore]
        if hard != resource.RLIM_INFINITY:
            limit_bytes = min(limit_bytes, hard)
        resource.prlimit(pid, resource.RLIMIT_AS, (limit_bytes, hard))  # type: ignore[attr-defined,unused-ignore]
