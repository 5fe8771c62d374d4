"""A runner of scripted jobs, to be killed: ``python -m tests.app.jobs.runner_process URL FOLDER
DEVICE …``."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from app.database import open_database
from app.jobs.runner import Runner
from app.settings import RunnerSettings
from tests.app.jobs.conftest import ScriptedExecutor, offers, start_scripted

if __name__ == "__main__":
    database = open_database(sys.argv[1])
    runner = Runner(
        database,
        RunnerSettings(heartbeat_s=0.2, cancel_grace_s=3),
        ScriptedExecutor(offers(*sys.argv[3:]), start_scripted(database, Path(sys.argv[2]))),
    )
    signal.signal(signal.SIGTERM, lambda *_: runner.stop())
    print("ready", flush=True)
    runner.run()
