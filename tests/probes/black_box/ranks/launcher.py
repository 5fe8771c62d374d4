"""Starts a script once per rank, as a launcher does: ``launcher.py RANKS [--kills-last] SCRIPT …``.

It waits for all of them, and goes on waiting when one has died.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time


def main(ranks: int, command: list[str]) -> None:
    kills_last = command[0] == "--kills-last"
    command = command[kills_last:]
    started = [
        subprocess.Popen([sys.executable, *command], env={**os.environ, "RANK": str(rank)})
        for rank in range(ranks)
    ]
    if kills_last:
        time.sleep(1.0)  # after its first steps
        started[-1].kill()
    for process in started:
        process.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
