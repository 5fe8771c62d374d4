"""``make demo``: a search from start to export, in a few minutes, on any machine.

It runs the ordinary command line, so that every command can be repeated by hand.
"""

from __future__ import annotations

import os
import subprocess
import sys

from app.cli.context import open_settings
from app.machine.target import open_target

CPU_MEMORY_BUDGET = "2GiB"
"""Without an accelerator: small enough for memory to be a limit."""
ACCEPT = "--accept-disturbed"
ONCE = {"TONNAGE_PROBE__REPEATS_WHEN_DISTURBED": "0"}
"""Accept measurements that other programs disturb: a first look should not wait for an idle
machine."""
TIME_SCALE = 0.02
"""20 minutes per cycle become 24 seconds, so that two cores finish the search within minutes."""


def commands(device: str) -> list[list[str]]:
    """The commands to run, in order. On the CPU the budget is scaled down."""
    small = ["--memory-budget", CPU_MEMORY_BUDGET] if device == "cpu" else []
    scaled = ["--time-scale", str(TIME_SCALE)] if device == "cpu" else []
    tune = ["tune", "visnet", "--device", device, *small, ACCEPT]
    return [
        ["db", "upgrade"],
        [*tune, "--budget", "smoke_test"],
        [*tune, "--budget", "prototyping", *scaled],
        ["export", "latest", "--to", "args"],
    ]


def main() -> int:
    """Run the commands one after the other; the first that fails ends the demo with its status."""
    target = open_target(open_settings(), None, None, None)
    target.prober.close()
    device = target.facts.device
    print(f"The best device here is {device}: {target.facts.name}.", flush=True)
    if device == "cpu":
        print(
            f"No accelerator found. The demo uses the CPU with a memory budget of "
            f"{CPU_MEMORY_BUDGET}, and scales the times of the prototyping budget by "
            f"{TIME_SCALE:g} to finish within minutes.",
            flush=True,
        )
    once = " ".join(f"{key}={value}" for key, value in ONCE.items())
    print(
        "Measurements that other programs disturb are accepted and marked instead of repeated "
        f"({ACCEPT}, {once}). Omit both for reliable numbers.",
        flush=True,
    )
    for arguments in commands(device):
        print(f"\n$ tonnage {' '.join(arguments)}", flush=True)
        status = subprocess.run(
            [sys.executable, "-c", "from app.cli import main; main()", *arguments],
            env={**ONCE, **os.environ},
            check=False,
        ).returncode
        if status:
            return status
    print(
        "\nEvery measurement is stored: run the demo again to see it answer from the database.\n"
        "The command is .venv/bin/tonnage; `source .venv/bin/activate` adds it to your PATH."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
