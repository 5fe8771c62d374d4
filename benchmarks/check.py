"""How long the pre-training hook takes to answer from the store, start-up included.

The script makes a folder with what ``tonnage`` keeps about a device and a workload, and a store
with results. It then alternates ``tonnage check`` and ``python -c pass``: the ratio is the figure,
because seconds depend on the machine. Most of the time goes to importing SQLAlchemy, pydantic and
typer. ``cold`` is the first check after a restart of the machine, when a worker imports torch to
describe the device.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.record import write

PAIRS = 9
LONGEST_S = 0.6
"""The promise on a machine that is not otherwise busy."""
PASS = [sys.executable, "-c", "pass"]
CHECK = [sys.executable, "-c", "from app.cli import main; main()", "check"]
PLAN = ["--workload", "transformer", "--set", "layers=1", "--set", "width=32"]
PLAN += ["--memory-budget", "256MiB", "--batch-size"]


def seconds(command: list[str], environ: dict[str, str], statuses: tuple[int, ...] = (0,)) -> float:
    began_s = time.perf_counter()
    ran = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    taken_s = time.perf_counter() - began_s
    if ran.returncode not in statuses:
        raise RuntimeError(f"{command} ended with {ran.returncode}:\n{ran.stderr}")
    return taken_s


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder))
    for name, numbers in result.items():
        print(f"{name:28} {numbers['median_s']:7.3f} s  {numbers['ratio_to_python']:6.2f} x "
              "python -c pass")  # fmt: skip
    slowest = max(result[name]["median_s"] for name in ("fits", "does not fit", "stale"))
    print(
        f"the promise of {LONGEST_S:g} s is {'kept' if slowest <= LONGEST_S else 'NOT kept'} here"
    )
    print(f"written to {write('check', result)}")


def measure(folder: Path) -> dict[str, dict[str, float]]:
    environ = {
        **os.environ,
        "HOME": str(folder),
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_DATA_HOME": str(folder / "data"),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "PYTHONDONTWRITEBYTECODE": "",  # an installed package has bytecode
        "PYTHONPYCACHEPREFIX": str(folder / "bytecode"),
        "TONNAGE_PROBE__MEASURE_BUDGET_S": "0.5",  # what is measured does not matter here
        "TONNAGE_PROBE__CONFIRM_STEPS": "8",
        "TONNAGE_PROBE__REPEATS_WHEN_DISTURBED": "0",
    }
    probe = [*CHECK[:-1], "probe", "transformer", *PLAN[2:], "64"]
    seconds(probe, environ)
    too_large = [*CHECK[:-1], "probe", "transformer", *PLAN[2:], "4096", "--quick"]
    seconds(too_large, environ, (1,))
    elsewhere = {**environ, "OMP_NUM_THREADS": "3"}  # another number of threads: nothing holds
    cases = {
        "fits": ([*CHECK, *PLAN, "64"], environ, (0,)),
        "does not fit": ([*CHECK, *PLAN, "8192"], environ, (1,)),
        "stale": ([*CHECK, *PLAN, "64"], elsewhere, (3,)),
    }
    for command, variables, statuses in cases.values():
        seconds(command, variables, statuses)
    taken: dict[str, list[float]] = {name: [] for name in ("python -c pass", *cases)}
    for _ in range(PAIRS):
        taken["python -c pass"].append(seconds(PASS, environ))
        for name, (command, variables, statuses) in cases.items():
            taken[name].append(seconds(command, variables, statuses))
    shutil.rmtree(folder / "cache")
    taken["cold"] = [seconds(*cases["fits"])]
    base = taken["python -c pass"]
    return {
        name: {
            "median_s": round(statistics.median(times), 4),
            "ratio_to_python": round(
                statistics.median(a / b for a, b in zip(times, base, strict=False)), 2
            ),
        }
        for name, times in taken.items()
    }


if __name__ == "__main__":
    main()
