"""Ctrl-C that cannot get lost, and signals that end a command as Ctrl-C does.

Python raises ``KeyboardInterrupt`` wherever the main thread happens to be. Within a callback of the
garbage collector, such as those of a closed database session, it is printed and dropped, and the
command would go on. So the signal is noted as well, and what runs often asks for it.
"""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Self

CLEAN_UP_S = 10.0
"""``timeout`` sends its signal to the command and then to its group, and a closed terminal may send
two: for so long another one does not interrupt the clean-up that the first one began."""


class _Ended:
    """The last signal that asked to end."""

    number: int | None = None
    at_s = -CLEAN_UP_S
    """On the monotonic clock."""


def listen() -> None:
    """Let SIGTERM and SIGHUP raise ``KeyboardInterrupt``, where they are not handled or ignored
    already. For the main thread."""
    for name in ("SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


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
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        signal.default_int_handler(number, frame)
