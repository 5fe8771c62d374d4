"""What every executor must do. ``ExecutorLibrary`` is the test class of each: a subclass gives it
the fixtures ``executor`` and ``doomed``, whose jobs run ``told.py`` in ``tmp_path``."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.clock import utc_now
from app.jobs.executor import Executor, Process
from app.jobs.process import DATABASE_VARIABLE
from app.jobs.records import Job, JobKind
from app.tuning.state import StudyState
from tests.app.jobs.conftest import until
from tests.processes import is_gone

TOLD = Path(__file__).with_name("told.py")
URL = "postgresql://tonnage:a-secret@db.example/tonnage"

Doomed = Callable[[str], tuple[int, Callable[[], None]]]
"""Starts a job in an executor that can be killed: the process of the job, and what kills it."""


def command(folder: Path) -> list[str]:
    return [sys.executable, str(TOLD), str(folder)]


def job(job_id: str) -> Job:
    now = utc_now()
    return Job(
        id=job_id,
        kind=JobKind.STUDY,
        study_id=None,
        state=StudyState.RUNNING,
        asked={},
        workload="transformer",
        device=None,
        message="",
        deaths=0,
        cancel_requested=False,
        runner_id="run_1",
        lease="here/cpu",
        attempt=3,
        last_event=0,
        wall_s=0.0,
        created_at=now,
        updated_at=now,
        started_at=now,
        finished_at=None,
    )


def told(folder: Path, job_id: str) -> dict[str, Any]:
    """What the job's process has told, as soon as it has."""
    file = folder / f"{job_id}.json"
    until(file.exists)
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def begin_on(executor: Executor, job_id: str, folder: Path) -> tuple[Process, dict[str, Any]]:
    """Start a job; its process, and what that told."""
    (folder / f"{job_id}.json").unlink(missing_ok=True)  # of a job with this name before it
    process = executor.start(job(job_id), "run_1", executor.offers().devices[0])
    return process, told(folder, job_id)


class ExecutorLibrary:
    """Subclass it as ``TestX``. ``executor`` may serve several tests; ``closable`` is of one."""

    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        """Where the jobs of ``executor`` tell."""
        return tmp_path

    @pytest.fixture
    def executor(self) -> Executor:
        raise NotImplementedError

    @pytest.fixture
    def closable(self, executor) -> Executor:
        return executor

    @pytest.fixture
    def doomed(self) -> Doomed:
        raise NotImplementedError

    @pytest.fixture
    def start(self, executor, folder):
        """Starts a job; gives its process and what that told."""
        started = []

        def begin(job_id: str):
            started.append(begin_on(executor, job_id, folder))
            return started[-1]

        yield begin
        for process, _ in started:
            process.kill()

    def test_it_offers_devices_and_registered_workloads(self, executor):
        found = executor.offers()
        assert [offer.device for offer in found.devices] == ["cpu"]
        assert found.devices[0].total_bytes > 0
        assert "transformer" in found.workloads
        assert executor.changed() is None

    def test_it_starts_the_process_for_the_job_the_runner_the_device_and_the_attempt(
        self, executor, start
    ):
        process, told = start("st_1")
        assert told["arguments"] == ["st_1", "run_1", "cpu", "3"]
        assert process.pid == told["pid"]
        assert process.poll() is None
        assert executor.owner.pid == psutil.Process(process.pid).ppid()

    @pytest.mark.parametrize("status", [0, 7])
    def test_it_tells_the_exit_status(self, start, status):
        process, _ = start(f"exit-{status}")
        assert until(lambda: process.poll() is not None)
        assert process.poll() == status

    @pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_reaches_the_process(self, start, number, status):
        process, _ = start("st_2")
        process.send_signal(number)
        until(lambda: process.poll() is not None)
        assert process.poll() == status
        process.send_signal(number)  # too late: nothing happens

    def test_kill_ends_one_that_listens_to_nothing(self, start):
        process, told = start("deaf")
        process.send_signal(signal.SIGTERM)
        process.kill()
        until(lambda: process.poll() is not None)
        assert process.poll() == -signal.SIGKILL
        assert is_gone(told["pid"])

    def test_closing_ends_what_runs(self, closable, folder):
        process, told = begin_on(closable, "deaf", folder)
        closable.close()
        until(lambda: process.poll() is not None)
        assert until(lambda: is_gone(told["pid"]))

    def test_the_process_ends_with_its_executor(self, doomed):
        pid, kill = doomed("deaf")
        assert not is_gone(pid)
        kill()
        assert until(lambda: is_gone(pid))

    def test_the_environment_is_that_of_the_host_and_no_secret_is_on_a_command_line(self, start):
        _, told = start("exit-0")
        environment = told["environment"]
        assert environment[DATABASE_VARIABLE] == URL
        assert "a-secret" not in " ".join(told["command_line"])
        foreign = [name for name in environment if name.startswith("RAY_")]
        assert foreign == []
        assert "PYTHONBREAKPOINT" not in environment
        assert environment.get("OMP_NUM_THREADS") in (None, "3")  # 3: as the host has it
        assert told["oom_score_adj"] < 500
        assert told["session"] == told["pid"]
