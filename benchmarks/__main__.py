"""Run every benchmark, or those named: ``python -m benchmarks cli_startup``.

Options after the name of a single one are its own: ``python -m benchmarks max_batch --help``.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys

BENCHMARKS = (
    "cli_startup",
    "check",
    "probe_start",
    "cpu_allocators",
    "max_batch",
    "false_safe",
    "prediction",
    "step_time",
    "search",
    "service",
    "faults",
    "fleet_faults",
    "black_box",
    "foreign",
    "dashboard",
    "comparison",
    "sft",
    "claims",
    "ranks",
    "fleet_answer",
    "fleet_scale",
    "power_limit",
)


def main() -> int:
    arguments = sys.argv[1:]
    cut = next((i for i, a in enumerate(arguments) if i and a.startswith("-")), len(arguments))
    parser = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], default=[])
    names, options = parser.parse_args(arguments[:cut]).names, arguments[cut:]
    if options and len(names) != 1:
        parser.error("options belong to one benchmark: name exactly one before them")
    for name in names or BENCHMARKS:
        print(f"== {name}", flush=True)
        run = importlib.import_module(f"benchmarks.{name}").main
        if options and not inspect.signature(run).parameters:
            parser.error(f"{name} takes no options")
        run(*([options] if options else []))
    return 0


if __name__ == "__main__":
    sys.exit(main())
