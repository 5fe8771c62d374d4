"""A local executor to be killed: ``python -m tests.app.jobs.executor_process FOLDER JOB``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from app.jobs.executor import LocalExecutor
from tests.app.jobs.conftest import offers
from tests.app.jobs.executor_library import command, job
from tests.app.jobs.test_executor import FakeDatabase, FakeDetector

if __name__ == "__main__":
    executor = LocalExecutor(FakeDatabase(), FakeDetector(), command=command(Path(sys.argv[1])))
    process = executor.start(job(sys.argv[2]), "run_1", offers().devices[0])
    print(process.pid, flush=True)
    signal.pause()
