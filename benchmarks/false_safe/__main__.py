"""``python -m benchmarks.false_safe --help``."""

import sys

from benchmarks.false_safe.run import main

main(sys.argv[1:])
