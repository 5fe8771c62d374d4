"""The executor of this host."""

from __future__ import annotations

import subprocess
import sys

import pytest

from app.jobs.executor import LocalExecutor
from tests.app.jobs.conftest import ROOT, offers
from tests.app.jobs.executor_library import URL, ExecutorLibrary, command, job, told


class FakeDatabase:
    """Has an address, and nothing behind it."""

    full_url = URL


class FakeDetector:
    """Finds a CPU."""

    def offers(self):
        return offers("cpu")

    def changed(self):
        return None


class TestLocalExecutor(ExecutorLibrary):
    @pytest.fixture
    def executor(self, tmp_path, monkeypatch):
        monkeypatch.setenv("OMP_NUM_THREADS", "3")
        made = LocalExecutor(FakeDatabase(), FakeDetector(), command=command(tmp_path))
        yield made
        made.close()

    @pytest.fixture
    def doomed(self, tmp_path):
        started = []

        def start(job_id: str):
            module = [sys.executable, "-m", "tests.app.jobs.executor_process"]
            holder = subprocess.Popen(
                [*module, str(tmp_path), job_id], cwd=ROOT, stdout=subprocess.PIPE, text=True
            )
            started.append(holder)
            pid = int(holder.stdout.readline())
            assert told(tmp_path, job_id)["pid"] == pid
            return pid, holder.kill

        yield start
        for holder in started:
            holder.kill()
            holder.communicate()

    def test_a_program_that_is_not_there_is_an_error_of_the_system(self, tmp_path):
        executor = LocalExecutor(FakeDatabase(), FakeDetector(), command=[str(tmp_path / "none")])
        with pytest.raises(OSError, match="No such file"):
            executor.start(job("st_1"), "run_1", offers().devices[0])
