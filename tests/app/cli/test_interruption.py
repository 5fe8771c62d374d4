"""Ctrl-C that comes while Python runs a callback of the garbage collector, and other signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from app.cli.interruption import Interruption
from tests.processes import is_gone

T = TypeVar("T")


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


DROPPED = """
import signal, time, weakref
from app.cli import interruption
interruption.listen()
class Collected: pass
collected = Collected()
watch = weakref.ref(collected, lambda _: signal.raise_signal(signal.{name}))
try:
    del collected
    time.sleep(30)
except KeyboardInterrupt:
    print("ended", interruption.status(130))
"""


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
def test_one_that_python_drops_is_raised_again(name: str, status: int) -> None:
    program = [sys.executable, "-c", DROPPED.format(name=name)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=25, check=False)
    assert ended.stdout.split() == ["ended", str(status)], ended.stderr


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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_end_leaves_no_temporary_folder_and_no_process(
    tmp_path: Path, number: int
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    script = tmp_path / "train.py"
    script.write_text(
        "import os, sys, time\n"
        "open(sys.argv[2] + '/checkpoint', 'w').write('x')\n"
        "open('pid', 'w').write(str(os.getpid()))\n"
        "time.sleep(100)\n"
    )
    command = f"{sys.executable} train.py {{batch_size}} {{run_dir}}"
    program = [sys.executable, "-c", "from app.cli import main; main()", "probe"]
    options = ["--batch-size", "8", "--command", command, "--device", "cpu"]
    environment = {
        **os.environ,
        "TMPDIR": str(temporary),
        "TONNAGE_DATA_DIR": str(tmp_path / "data"),
        "TONNAGE_PROBE__LEASE_DIR": str(tmp_path / "lease"),
    }
    process = subprocess.Popen([*program, *options], cwd=tmp_path, env=environment)
    try:
        pid = _once(lambda: int((tmp_path / "pid").read_text()))
        process.send_signal(number)
        time.sleep(0.2)
        process.send_signal(number)  # as timeout does: to the command, and to its group
        assert process.wait(timeout=60) == 128 + number
        _once(lambda: _ended(pid))
        assert not list(temporary.rglob("checkpoint"))
    finally:
        process.kill()


def _ended(pid: int) -> None:
    if not is_gone(pid):
        raise ValueError(f"process {pid} still runs")


def _once(look: Callable[[], T]) -> T:
    """What ``look`` returns once it no longer raises; it is asked for a minute at most."""
    for _ in range(600):
        try:
            return look()
        except (OSError, ValueError):
            time.sleep(0.1)
    return look()
