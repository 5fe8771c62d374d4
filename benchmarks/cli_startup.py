"""How much slower than ``python -c pass`` the command line answers, and that it needs no torch.

Pairs A B A B on a machine that others use: the ratio is the figure, not the seconds.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.record import write

PAIRS = 15
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import app.cli": [sys.executable, "-c", "import app.cli"],
    "tonnage --help": [sys.executable, "-c", "from app.cli import main; main()", "--help"],
    "python -c 'import torch'": [sys.executable, "-c", "import torch"],
}


def seconds(command: list[str]) -> float:
    began_s = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began_s


def main() -> None:
    for command in COMMANDS.values():
        seconds(command)  # disk cache
    taken = {name: [] for name in COMMANDS}
    for _ in range(PAIRS):
        for name, command in COMMANDS.items():
            taken[name].append(seconds(command))
    base = taken["python -c pass"]
    result = {}
    for name, times in taken.items():
        ratios = [a / b for a, b in zip(times, base, strict=True)]
        result[name] = {
            "median_s": round(statistics.median(times), 4),
            "ratio_to_python": round(statistics.median(ratios), 2),
        }
        print(f"{name:28} {result[name]['ratio_to_python']:6.2f} x python -c pass")
    print(f"written to {write('cli_startup', result)}")


if __name__ == "__main__":
    main()
