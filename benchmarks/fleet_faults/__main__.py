"""``python -m benchmarks fleet_faults``."""

import sys

from benchmarks.fleet_faults.run import main

main(sys.argv[1:])
