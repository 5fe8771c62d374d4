"""``make demo``: the main job from end to end, on whatever this machine has, in a few minutes.

Runs the ordinary command line, so that what is seen here can be typed by hand afterwards.
"""

from __future__ import annotations

import os
import subprocess
import sys

from app.cli.context import open_settings
from app.machine.target import open_target

CPU_MEMORY_BUDGET = "2GiB"
"""Where there is no accelerator: small enough for memory to matter."""
ACCEPT = "--accept-disturbed"
ONCE = {"TONNAGE_PROBE__REPEATS_WHEN_DISTURBED": "0"}
"""A laptop has other things to do, and a first look need not wait until it has not."""
TIME_SCALE = 0.02
"""20 minutes per cycle become 24 seconds, so that two cores get through the search in minutes."""


def commands(device: str) -> list[list[str]]:
    """What to run, in order. On the CPU everything is scaled down, and says so."""
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
    """Run them one after the other; the first that fails ends the demo with its status."""
    target = open_target(open_settings(), None, None, None)
    target.prober.close()
    device = target.facts.device
    print(f"The best device here is {device}: {target.facts.name}.", flush=True)
    if device == "cpu":
        print(
            f"No accelerator: using the CPU with a memory budget of {CPU_MEMORY_BUDGET}, and the "
            f"times of the prototyping budget scaled by {TIME_SCALE:g} so that this ends within "
            "minutes.",
            flush=True,
        )
    once = " ".join(f"{key}={value}" for key, value in ONCE.items())
    print(
        "What other programs disturb is measured only once here, taken as it is and marked "
        f"({ACCEPT}, {once}). Leave both out for numbers to rely on.",
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
        "\nEvery measurement is kept: run this again and the answers come from the store.\n"
        "The command is .venv/bin/tonnage; `source .venv/bin/activate` puts it on the path."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
