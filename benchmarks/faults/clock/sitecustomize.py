"""A wall clock that can be set: Python runs this first in every process of a campaign.

The file that ``FAULTS_CLOCK`` names holds the seconds by which the clock is wrong. Clocks that only
go forward stay as they are, as they do when a system's clock is set.
"""

import os
import time

_file = os.environ.get("FAULTS_CLOCK")


def _wrong_by_s() -> float:
    try:
        with open(_file) as file:  # noqa: PTH123  (before anything else: no import it can do without)
            return float(file.read() or 0)
    except (OSError, ValueError):
        return 0.0


if _file:
    _right, _right_ns = time.time, time.time_ns
    time.time = lambda: _right() + _wrong_by_s()
    time.time_ns = lambda: _right_ns() + int(_wrong_by_s() * 1e9)
