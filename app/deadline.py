"""Waiting for something no longer than it is worth.

A time-out of an HTTP client is for one step of one answer; looking up a name, or an answer that
trickles in, can take far longer. What a training run waits for must not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from probes.errors import MeasurementError

Result = TypeVar("Result")


class Late(MeasurementError):
    """There was no result in time."""


def within(seconds: float, what: str, call: Callable[[], Result]) -> Result:
    """What ``call`` returns or raises. Raises ``Late`` where it takes longer: it is left to itself
    then, in a thread that keeps no process from ending."""
    results: list[Result] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results.append(call())
        except BaseException as error:  # raised again below
            errors.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise Late(f"{what} did not answer within {seconds:g} s.")
    return results[0]
