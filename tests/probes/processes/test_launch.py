"""A guarded process: what it writes is read, and nothing that it started outlives it."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from probes.errors import MeasurementError
from probes.isolation import Worker
from probes.processes.guard import descendants
from probes.processes.launch import GuardedProcess, StartError
from probes.timeouts import Timeouts
from tests.processes import is_gone

STARTS_ANOTHER = """
import subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
print(subprocess.Popen(sleep, start_new_session=True).pid, flush=True)
time.sleep(600)
"""


def started(*argv: str, **more: object) -> GuardedProcess:
    return GuardedProcess(argv, environ=dict(os.environ), **more)  # type: ignore[arg-type]


def output(process: GuardedProcess, until: Callable[[str], bool]) -> str:
    text, deadline_s = "", time.monotonic() + 30
    while not until(text) and time.monotonic() < deadline_s:
        text += "".join(piece.data.decode() for piece in process.wait(1.0))
    assert until(text), text
    return text


ENDS_ITS_FIRST_THREAD = """
import ctypes, platform, subprocess, sys, threading, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
print(subprocess.Popen(sleep, start_new_session=True).pid, flush=True)
threading.Thread(target=time.sleep, args=(600,)).start()
ctypes.CDLL(None).syscall({"x86_64": 60}.get(platform.machine(), 93), 0)
"""
"""Such a process looks like a zombie, as one with many threads does for a moment when it dies."""


def ended_soon(*pids: int) -> bool:
    deadline_s = time.monotonic() + 10
    while not all(is_gone(pid) for pid in pids) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return all(is_gone(pid) for pid in pids)


@pytest.mark.parametrize(
    ("code", "status"),
    [("print('x')", 0), ("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", -9)],
)
def test_the_exit_status_is_as_in_subprocess(code: str, status: int) -> None:
    with started(sys.executable, "-c", code) as process:
        deadline_s = time.monotonic() + 30
        while process.running and time.monotonic() < deadline_s:
            process.wait(1.0)
        assert process.returncode == status


def test_a_program_that_does_not_exist_is_a_start_error() -> None:
    with started("/no/such/program") as process, pytest.raises(StartError, match="No such file"):
        output(process, lambda text: False)


def test_a_folder_that_does_not_exist_is_a_start_error(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="no-such-folder"):
        started("true", cwd=tmp_path / "no-such-folder")


def test_a_worker_without_its_interpreter_names_the_option_to_set() -> None:
    with (
        Worker("/no/such/python") as worker,
        pytest.raises(MeasurementError, match=r"/no/such/python.*--python"),
    ):
        worker.request({"kind": "devices"}, Timeouts())


def test_closing_ends_a_process_in_a_session_of_its_own() -> None:
    with started(sys.executable, "-c", STARTS_ANOTHER) as process:
        other = int(output(process, lambda text: text.endswith("\n")))
        assert not is_gone(process.pid) and not is_gone(other)
        root = process.guardian_pid
    assert ended_soon(process.pid, other, root)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the number of a system call")
def test_the_children_of_a_process_are_found_although_its_first_thread_has_ended() -> None:
    with started(sys.executable, "-c", ENDS_ITS_FIRST_THREAD) as process:
        other = int(output(process, lambda text: text.endswith("\n")))
        deadline_s = time.monotonic() + 30
        while not is_gone(process.pid) and time.monotonic() < deadline_s:
            time.sleep(0.01)
        assert is_gone(process.pid) and not is_gone(other)
        assert {process.pid, other} <= set(descendants(process.guardian_pid))
    assert ended_soon(other)


def test_a_killed_guardian_takes_the_program_with_it() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux sends a signal when a parent ends")
    code = "import time; print('up', flush=True); time.sleep(600)"
    with started(sys.executable, "-c", code) as process:
        output(process, lambda text: "up" in text)
        os.kill(process.guardian_pid, signal.SIGKILL)
        assert ended_soon(process.pid)
        deadline_s = time.monotonic() + 10
        while process.running and time.monotonic() < deadline_s:
            process.wait(0.1)
        assert process.returncode == -signal.SIGKILL


def test_tails_hold_the_end_of_what_was_printed_since_the_last_call() -> None:
    code = "print('a' * 20000 + 'end'); import sys; print('why', file=sys.stderr)"
    with started(sys.executable, "-c", code) as process:
        output(process, lambda text: "end\n" in text and "why\n" in text)
        stdout, stderr = process.take_tails()
        assert stdout.endswith("aend\n") and len(stdout) < 20000 and stderr == "why\n"
        assert process.take_tails() == ("", "")
