"""``python -m benchmarks.faults``."""

from __future__ import annotations

import sys

from benchmarks.faults.run import main

main(sys.argv[1:])
