"""Run every benchmark, or those named: ``python -m benchmarks cli_startup``."""

from __future__ import annotations

import argparse
import importlib
import sys

BENCHMARKS = ("cli_startup", "peak_repeatability")


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], default=[])
    for name in parser.parse_args().names or BENCHMARKS:
        print(f"== {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
