"""Ctrl-C that cannot get lost, and signals that end a command as Ctrl-C does.

Python raises ``KeyboardInterrupt`` wherever the main thread happens to be. Within a callback of the
garbage collector, such as those of a closed database session, it is printed and dropped, and the
command would go on. So the signal is noted as well, what runs often asks for it, and an interrupt
that was dropped is raised again.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from types import FrameType
from typing import Self

CLEAN_UP_S = 10.0
"""``timeout`` sends its signal to the command and then to its group, and a closed terminal may send
two: for so long another one does not interrupt the clean-up that the first one began."""


AGAIN_S = 0.1
"""After which an interrupt that Python has dropped comes again."""


class _Ended:
    """The last signal that asked to end."""

    number: int | None = None
    at_s = -CLEAN_UP_S
    """On the monotonic clock."""
    again: threading.Timer | None = None
    """What sends it once more."""


def listen() -> None:
    """Let SIGTERM and SIGHUP raise ``KeyboardInterrupt``, where they are not handled or ignored
    already. For the main thread."""
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    sys.unraisablehook = _again


def _again(dropped: sys.UnraisableHookArgs) -> None:
    """Python's own report of an exception that nobody can catch. An interrupt comes again, once
    what dropped it is over: a thread sends it, since a wait that has begun ends by a signal only.
    """
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)
        return
    number, _Ended.at_s = _Ended.number or signal.SIGINT, -CLEAN_UP_S
    _Ended.again = threading.Timer(AGAIN_S, _send, [threading.main_thread().ident, number])
    _Ended.again.daemon = True
    _Ended.again.start()


def _send(thread: int, number: int) -> None:
    if hasattr(signal, "pthread_kill"):  # Windows has none
        signal.pthread_kill(thread, number)
    else:
        _thread.interrupt_main()


def status(interrupted: int) -> int:
    """The exit status of an interrupted command: 128 + the signal that ended it, ``interrupted``
    for Ctrl-C. Nothing is left to clean up, so the same signal is ignored from here on."""
    if _Ended.number is None:
        return interrupted
    signal.signal(_Ended.number, signal.SIG_IGN)
    return 128 + _Ended.number


def _end(number: int, frame: FrameType | None) -> None:
    now_s = time.monotonic()
    if now_s - _Ended.at_s < CLEAN_UP_S:
        return
    _Ended.number, _Ended.at_s = number, now_s
    raise KeyboardInterrupt


class Interruption:
    """Use as a context manager. Does nothing where another handler is in place already, or
    outside the main thread."""

    def __init__(self) -> None:
        self._came = False
        self._is_installed = False

    def __enter__(self) -> Self:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            try:
                signal.signal(signal.SIGINT, self._note)
                self._is_installed = True
            except ValueError:  # not the main thread
                self._is_installed = False
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._is_installed = False

    def check(self) -> None:
        """Raise ``KeyboardInterrupt`` if the signal came and the program still runs."""
        if self._came or _Ended.number is not None:
            if _Ended.again is not None:
                _Ended.again.cancel()
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        signal.default_int_handler(number, frame)
