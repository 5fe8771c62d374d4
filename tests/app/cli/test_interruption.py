"""Ctrl-C that comes while Python runs a callback of the garbage collector."""

from __future__ import annotations

import signal
import weakref

import pytest

from app.cli.interruption import Interruption


class Collected:
    pass


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interruption_within_a_callback_is_raised_when_asked_for() -> None:
    with Interruption() as interruption:
        collected = Collected()
        watch = weakref.ref(collected, lambda _: signal.raise_signal(signal.SIGINT))
        del collected  # the callback runs, and Python drops what it raises
        assert watch() is None
        with pytest.raises(KeyboardInterrupt):
            interruption.check()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_is_raised_at_once_as_well() -> None:
    with Interruption(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_handler_of_somebody_else_stays() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            signal.raise_signal(signal.SIGINT)
            interruption.check()
    finally:
        signal.signal(signal.SIGINT, before)
