"""A job's process that tells what it was started with and which signals reach it.

``python told.py FOLDER JOB RUNNER DEVICE ATTEMPT`` writes ``FOLDER/JOB.json``. A job called
``exit-N`` ends with status N, one called ``deaf`` ignores signals; every other waits for one.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from app.jobs.process import EXIT_INTERRUPTED, EXIT_TERMINATED, end_with_runner


def tell(file: Path) -> None:
    """Everything at once, so that nobody reads half of it."""
    adjustment = Path("/proc/self/oom_score_adj")
    told = {
        "pid": os.getpid(),
        "arguments": sys.argv[2:],
        "command_line": sys.argv,
        "environment": dict(os.environ),
        "session": os.getsid(0),
        "oom_score_adj": int(adjustment.read_text()) if adjustment.exists() else 0,
    }
    part = file.with_suffix(".part")
    part.write_text(json.dumps(told))
    part.rename(file)


def main(folder: str, job_id: str) -> int:
    end_with_runner()
    ending = signal.SIG_IGN if job_id == "deaf" else lambda number, _: sys.exit(STATUS[number])
    for number in STATUS:
        signal.signal(number, ending)
    tell(Path(folder) / f"{job_id}.json")
    if job_id.startswith("exit-"):
        return int(job_id.removeprefix("exit-"))
    while True:
        signal.pause()


STATUS = {signal.SIGINT: EXIT_INTERRUPTED, signal.SIGTERM: EXIT_TERMINATED}

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
