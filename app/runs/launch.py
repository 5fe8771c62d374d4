"""A training run as a child process: its output passed on as it is, its signals, its end.

Where our output is a terminal, the run gets a pseudo-terminal of the same size; otherwise it gets a
pipe. The output is read only to keep its end and its step times.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import selectors
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any

from app.runs.outcome import StepTimes
from probes.devices.host import cgroup_oom_kills
from probes.errors import InputError
from probes.processes.guard import die_with

TAIL_BYTES = 16_384
PASSED_ON = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
GRACE_S = 1.0
"""How long output is still read after the run has ended: a child of it may keep the pipe open."""


@dataclass(frozen=True)
class Ended:
    """How the process ended."""

    returncode: int
    """Negative for a signal, as in ``subprocess``."""
    tail: str
    """The last output, of stdout and stderr as they came."""
    step_time_s: float | None
    cgroup_oom_kills: int
    signalled: bool
    """Whether a signal that ends programs was passed on to it."""
    wall_s: float


def launch(command: Sequence[str], environ: Mapping[str, str]) -> Ended:
    """Run it to its end. Raises ``InputError`` where it cannot be started."""
    began_s, kills = time.monotonic(), cgroup_oom_kills()
    sys.stdout.flush()
    with contextlib.ExitStack() as stack:
        streams = _Streams(stack)
        with _signals() as passing:
            try:
                process = subprocess.Popen(
                    list(command),
                    env=dict(environ),
                    stdout=streams.stdout,
                    stderr=streams.stderr,
                    # If we are killed and cannot pass a signal on, the kernel sends a TERM.
                    preexec_fn=partial(die_with, os.getpid(), signal.SIGTERM),  # noqa: PLW1509
                )
            except OSError as error:
                raise InputError(
                    f"{command[0]} cannot be started: {error.strerror or error}."
                ) from None
            passing.to(process)
            streams.close_ours()
            streams.relay(process)
            returncode = process.wait()
    return Ended(
        returncode,
        bytes(streams.tail).decode(errors="replace"),
        streams.times.median_s,
        cgroup_oom_kills() - kills,
        passing.stopping,
        time.monotonic() - began_s,
    )


class _Streams:
    """The child's ends of stdout and stderr, ours, and what has come through."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.tail = bytearray()
        self.times = StepTimes()
        self._stack = stack
        self._open_fds: set[int] = set()
        self._theirs: list[int] = []
        self._targets: dict[int, int] = {}
        """Our reading end to the descriptor that its data is written to."""
        both = os.isatty(1) and os.isatty(2)
        self.stdout = self._open(1)
        self.stderr = self.stdout if both else self._open(2)  # one terminal keeps their order

    def _open(self, target: int) -> int:
        ours, theirs = pty.openpty() if os.isatty(target) else os.pipe()
        for fd in (ours, theirs):
            self._open_fds.add(fd)
            self._stack.callback(self._close, fd)
        if os.isatty(target):
            _like(theirs, target)
            self._watch_size(theirs, target)
        self._theirs.append(theirs)
        self._targets[ours] = target
        return theirs

    def _watch_size(self, theirs: int, target: int) -> None:
        def resized(number: int, frame: FrameType | None) -> None:
            with contextlib.suppress(OSError):
                for ours in self._targets:
                    if os.isatty(ours):
                        _same_size(ours, target)

        before = signal.signal(signal.SIGWINCH, resized)
        self._stack.callback(signal.signal, signal.SIGWINCH, before)

    def close_ours(self) -> None:
        """The child has its own copies now."""
        for fd in self._theirs:
            self._close(fd)

    def relay(self, process: subprocess.Popen[bytes]) -> None:
        """Pass output on until it ends, or the child has ended and nothing more comes."""
        with selectors.DefaultSelector() as selector:
            for ours in self._targets:
                selector.register(ours, selectors.EVENT_READ)
            ended_s: float | None = None
            while selector.get_map():
                ready = selector.select(timeout=0.2)
                for key, _ in ready:
                    if not self._pass_on(key.fd):
                        selector.unregister(key.fd)
                        self._close(key.fd)
                if process.poll() is not None:
                    ended_s = ended_s or time.monotonic()
                    if not ready and time.monotonic() - ended_s > GRACE_S:
                        return

    def _pass_on(self, ours: int) -> bool:
        """Whether there may be more."""
        try:
            data = os.read(ours, 65_536)
        except OSError:  # of a pseudo-terminal whose other end is closed
            return False
        if not data:
            return False
        self.tail += data
        del self.tail[:-TAIL_BYTES]
        self.times.read(data)
        try:
            _write(self._targets[ours], data)
        except OSError:  # nobody reads on: the child learns it as it would without us
            return False
        return True

    def _close(self, fd: int) -> None:
        if fd in self._open_fds:  # once only: the number may be another file's by then
            self._open_fds.discard(fd)
            with contextlib.suppress(OSError):
                os.close(fd)


class _Passing:
    """Hands signals to the child."""

    def __init__(self) -> None:
        self.stopping = False
        self._early: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    def to(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        for number in self._early:
            self._send(number)

    def handle(self, number: int, frame: FrameType | None) -> None:
        if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self.stopping = True
        if self._process is None:
            self._early.append(number)
        elif not (number == signal.SIGINT and _typed_at_terminal()):
            self._send(number)

    def _send(self, number: int) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)


@contextlib.contextmanager
def _signals() -> Iterator[_Passing]:
    passing = _Passing()
    before = {number: signal.signal(number, passing.handle) for number in PASSED_ON}
    try:
        yield passing
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _typed_at_terminal() -> bool:
    """Whether we are in a terminal's foreground: Ctrl-C then reaches the child by itself, and a
    second one would be another."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


def _like(theirs: int, target: int) -> None:
    """Give it the same size, and leave the conversion of line ends to our own terminal."""
    _same_size(theirs, target)
    modes: list[Any] = termios.tcgetattr(theirs)
    modes[1] &= ~termios.OPOST
    termios.tcsetattr(theirs, termios.TCSANOW, modes)


def _same_size(theirs: int, target: int) -> None:
    size = fcntl.ioctl(target, termios.TIOCGWINSZ, b"\0" * 8)
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)


def _write(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]
