"""Ctrl-C that cannot get lost.

Python raises ``KeyboardInterrupt`` wherever the main thread happens to be. Within a callback of the
garbage collector, such as those of a closed database session, it is printed and dropped, and the
command would go on. So the signal is noted as well, and what runs often asks for it.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Self


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
        if self._came:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = True
        signal.default_int_handler(number, frame)
