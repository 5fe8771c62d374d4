"""The guardian of a power limit: gives it back when the process that changed it is gone.

``python limit_guard.py LIFELINE_FD STATUS_FD RECORD TOKEN NVML``

It locks the record, writes ``ready`` to the status pipe, and waits until the far end of the
lifeline closes, however its parent ended. If the record is still there, nobody has given the limit
back: it does so, and removes the record. ``NVML`` is the binding: ``pynvml``, or a file.

Run by path, in our own interpreter.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from probes.energy import power_record

LOCK_S = 5.0
"""A late guardian of somebody else may lock the record for a moment, to see whose it is."""


def main(lifeline_fd: int, status_fd: int, file: Path, token: str, source: str) -> int:
    """0 if the limit is what it was, 1 if it could not be given back."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    nvml = power_record.load_nvml(source)
    try:
        with power_record.locked(file, LOCK_S) as record:
            if record is None or record.token != token:
                return 0  # somebody was quicker
            with contextlib.suppress(BrokenPipeError):  # killed before it had us
                os.write(status_fd, b"ready\n")
            os.close(status_fd)
            select.select([lifeline_fd], [], [])
            if not file.exists():
                return 0
            power_record.restore(record, nvml)
            file.unlink(missing_ok=True)
    except (power_record.NotRestoredError, OSError):
        return 1  # the record stays, for the next start
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), *sys.argv[4:6]))
