"""``make demo``: a search from start to export, in a few minutes, on any machine.

It runs the ordinary command line, so that every command can be repeated by hand.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from app.cli.context import open_settings
from app.machine.target import open_target
from optimizer.budgets import DEFAULT_BUDGETS
from optimizer.choose import uses_text
from optimizer.formatting import config_text, rate
from probes.formatting import duration_text, size_text

FOLDER = Path(__file__).parents[1]
WORKLOAD = "examples/molecules.py:Molecules"
SMALLEST = {"layers": 1, "hidden_channels": 64}
"""The smallest model of its space; what it takes here sets the time window."""
BUDGET = "prototyping"
MEMORY_BUDGET = "128MiB"
"""Small enough for memory to limit the batch of every model."""
WINDOW = 1.25
"""The longest step that the window allows, as a multiple of the smallest model's step at its
maximum batch. So memory limits small models, and time limits large ones, on any machine."""
TIMEOUT_MIN = 2.5
"""No config is begun after that, so that the demo ends on a busy machine too."""
ACCEPT = "--accept-disturbed"
ONCE = {"TONNAGE_PROBE__REPEATS_WHEN_DISTURBED": "0"}
"""Accept measurements that other programs disturb: a first look should not wait for an idle
machine."""


class Failed(Exception):
    """A command ended with a status other than 0, which is the demo's too."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


def tonnage(*arguments: str, capture: bool = False) -> str:
    """Run a command and show it. With ``capture``, its standard output is returned and not shown.
    Raises ``Failed``."""
    quiet = ["--quiet"] if capture else []
    if not capture:
        print(f"\n$ tonnage {' '.join(arguments)}", flush=True)
    ran = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", *quiet, *arguments],
        cwd=FOLDER,
        env={**ONCE, **os.environ},
        stdout=subprocess.PIPE if capture else None,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise Failed(ran.returncode)
    return ran.stdout or ""


def time_scale(step_s: float) -> float:
    """The factor for the budget's times, with two significant digits, such that a step of
    ``WINDOW * step_s`` seconds is the longest that fits the window."""
    longest_step_s = DEFAULT_BUDGETS[BUDGET].longest_step_s
    assert longest_step_s is not None, "the budget of the demo has a window"
    return float(f"{WINDOW * step_s / longest_step_s:.2g}")


def closing(document: dict[str, Any]) -> list[str]:
    """What the recommendation says, in five lines. ``document``: as ``tune --json`` prints it."""
    study, model = document["study"], document["most_capable"]
    configs = study["configs"]
    confirmed = study["trials"] - len(
        [each for each in document["ruled_out"] if each["state"] not in ("pruned", "disturbed")]
    )
    uses = uses_text(document["share_of_window"], document["share_of_memory"])
    lines = [
        f"1. There are {configs} models. The search measured {confirmed} of them to the end and "
        f"ran a few steps of {study['trials'] - confirmed}; {configs - study['trials']} were "
        "never run.",
        f"2. The fastest training: {config_text(document['config'])} with batch "
        f"{document['batch_size']}, {rate(document['throughput_samples_per_s'])}. It uses {uses}.",
    ]
    if model is None:
        lines.append(f"3. {document['most_capable_note']}")
    else:
        uses = uses_text(model["share_of_window"], model["share_of_memory"])
        lines.append(
            f"3. The largest model that fits: {config_text(model['config'])} with batch "
            f"{model['batch_size']}, {model['parameters'] / document['parameters']:.0f} times the "
            f"parameters, {duration_text(model['cycle_time_s']['mean'])} per cycle. It uses {uses}."
        )
    failing = document["evidence"]["lowest_failing"]
    limit = {"memory": "memory", "time": "time", "data": "the number of molecules"}
    why = f"4. What limits the batch of the fastest is {limit.get(document['binding'], 'a limit')}"
    lines.append(
        f"{why}: batch {failing['batch_size']} was tried and failed." if failing else f"{why}."
    )
    lines.append(
        "5. Nothing here is extrapolated: each batch above trained in a fresh process in "
        f"{size_text(document['limit_bytes'])}, 5% of it kept free, until its memory was stable."
    )
    return lines


def run() -> None:
    """The commands of the demo, one after the other. Raises ``Failed`` at the first that fails."""
    target = open_target(open_settings(), None, None, None)
    target.prober.close()
    device = target.facts.device
    once = " ".join(f"{key}={value}" for key, value in ONCE.items())
    print(
        f"The best device here is {device}: {target.facts.name}. The demo gives it "
        f"{MEMORY_BUDGET} of memory, so that memory is scarce.\n"
        "Measurements that other programs disturb are accepted and marked instead of repeated "
        f"({ACCEPT}, {once}). Omit both for reliable numbers.",
        flush=True,
    )
    here = [WORKLOAD, "--device", device, "--memory-budget", MEMORY_BUDGET]
    tonnage("db", "upgrade")
    pinned = [part for name, value in SMALLEST.items() for part in ("--set", f"{name}={value}")]
    tonnage("max-batch", *here, *pinned)
    found = json.loads(tonnage("max-batch", *here, *pinned, "--json", capture=True))
    step_s = found["evidence"]["highest_passing"]["step_time"]["mean_s"]
    scale = time_scale(step_s)
    print(
        f"\nThat is {step_s:.3g} s per step for the smallest of 16 models. Real windows are "
        f"minutes long; to finish soon, the demo scales the times of the {BUDGET} budget by "
        f"{scale:g}, which lets a step take up to {WINDOW:g} times as long. So the small models "
        "fit on this machine, and the large ones do not.",
        flush=True,
    )
    tune = ["tune", *here, ACCEPT, "--budget", BUDGET, "--time-scale", str(scale)]
    tune += ["--timeout", str(TIMEOUT_MIN)]
    tonnage(*tune)
    document = json.loads(tonnage("export", "latest", "--to", "json", capture=True))
    tonnage("export", "latest", "--to", "args")
    print("\nWhat this says:")
    for line in closing(document):
        print(f"  {line}")
    print(
        "\nEvery measurement is stored: run the demo again to see it answer from the database.\n"
        "The command is .venv/bin/tonnage; `source .venv/bin/activate` adds it to your PATH."
    )


def main() -> int:
    """Run the demo; the status of the first command that fails is its status."""
    try:
        run()
    except Failed as failed:
        return failed.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
