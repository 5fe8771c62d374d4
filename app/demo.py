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
from optimizer.formatting import config_text, limit_text, rate
from probes.formatting import duration_text, size_text

FOLDER = Path(__file__).parents[1]
WORKLOAD = "examples/molecules.py:Molecules"
SMALLEST = {"layers": 1, "hidden_channels": 64}
"""The smallest model of its space; what it takes here sets the time window."""
MODELS = 16
REMEMBERED = "demo.json"
"""File in the data folder with the time scale of each device."""
BUDGET = "prototyping"
MEMORY_BUDGET = "128MiB"
"""Small enough for memory to limit the batch of every model."""
TRIED_BATCH = 64
LEAST_ROOM = 1.5
"""The longest step that the window allows is the one that the smallest model needs for a batch of
``TRIED_BATCH`` here, and at least ``LEAST_ROOM`` times its step for one molecule. So time limits
deep models and memory limits wide ones, on a slow machine as on a quick one."""
TIMEOUT_MIN = 1.2
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
    """Show and run a command. With ``capture``, its standard output is returned and not shown.
    Raises ``Failed``."""
    print(f"\n$ tonnage {' '.join(arguments)}", flush=True)
    ran = subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", *arguments],
        cwd=FOLDER,
        env={**ONCE, **os.environ},
        stdout=subprocess.PIPE if capture else None,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise Failed(ran.returncode)
    return ran.stdout or ""


def time_scale(one_s: float, tried_s: float) -> float:
    """The factor for the budget's times, with two significant digits.

    ``one_s`` and ``tried_s`` are the seconds per step of the smallest model, with one molecule and
    with ``TRIED_BATCH``.
    """
    unscaled_s = DEFAULT_BUDGETS[BUDGET].longest_step_s
    assert unscaled_s is not None, "the budget of the demo has a window"
    return float(f"{max(tried_s, LEAST_ROOM * one_s) / unscaled_s:.2g}")


def window_of(file: Path, device: str, here: list[str]) -> float:
    """The time scale for this device. It is measured once and kept in ``file``, so that the next
    demo asks the same question and is answered from the database. ``here`` are the arguments that
    every command has."""
    known: dict[str, float] = json.loads(file.read_text()) if file.exists() else {}
    if device in known:
        print(f"\nThe time scale is that of the first demo here: {known[device]:g} ({file}).")
        return known[device]
    pinned = [part for name, value in SMALLEST.items() for part in ("--set", f"{name}={value}")]
    steps_s = []
    for batch in (1, TRIED_BATCH):
        probe = ["probe", *here, *pinned, "--batch-size", str(batch), "--quick", "--json"]
        steps_s.append(json.loads(tonnage(*probe, capture=True))["step_time"]["mean_s"])
    scale = time_scale(*steps_s)
    print(
        f"\nThe smallest of the {MODELS} models takes {duration_text(steps_s[-1])} per step with "
        f"batch {TRIED_BATCH} here. Real windows are minutes long. To finish soon, the demo scales "
        f"the times of the {BUDGET} budget by {scale:g}, so that this step just fits the window "
        "and deeper models need smaller batches or do not fit at all.",
        flush=True,
    )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({**known, device: scale}))
    return scale


def closing(document: dict[str, Any]) -> list[str]:
    """What the recommendation says, in five lines. ``document``: as ``tune --json`` prints it."""
    study, model = document["study"], document["most_capable"]
    configs = study["configs"]
    tried = sum(each["state"] not in ("pruned", "disturbed") for each in document["ruled_out"])
    confirmed = study["trials"] - tried
    uses = uses_text(document["share_of_window"], document["share_of_memory"])
    lines = [
        f"1. Of {configs} models, the search measured {confirmed} to the end, tried {tried} for a "
        f"few steps, and never ran {configs - study['trials']}.",
        f"2. The fastest training: {config_text(document['config'])} with batch "
        f"{document['batch_size']}, {rate(document['throughput_samples_per_s'])}. It uses {uses}.",
    ]
    if model is None:
        lines.append(f"3. {document['most_capable_note']}")
    else:
        uses = uses_text(model["share_of_window"], model["share_of_memory"])
        lines.append(
            f"3. The largest one confirmed to fit: {config_text(model['config'])} with batch "
            f"{model['batch_size']}, {model['parameters'] / document['parameters']:.0f} times the "
            f"parameters, {duration_text(model['cycle_time_s']['mean'])} per cycle. It uses {uses}."
        )
    lines.append(f"4. The batch of the fastest is no larger because of its {_limit(document)}.")
    lines.append(
        "5. Nothing here is extrapolated: each batch above trained in a fresh process in "
        f"{size_text(document['limit_bytes'])}, 5% of it kept free, until its memory was stable."
    )
    return lines


def _limit(document: dict[str, Any]) -> str:
    """What limits the recommended batch, with the batch that failed."""
    failing = document["evidence"]["lowest_failing"]
    if failing is None:
        return limit_text(document["binding"])
    how = "ran and was too slow" if failing["verdict"] == "stable" else "was tried and did not fit"
    return f"{limit_text(document['binding'])}: batch {failing['batch_size']} {how}"


def run() -> None:
    """The commands of the demo, one after the other. Raises ``Failed`` at the first that fails."""
    settings = open_settings()
    target = open_target(settings, None, None, None)
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
    scale = window_of(settings.data_dir / REMEMBERED, f"{device} {target.facts.name}", here)
    tonnage(
        *["tune", *here, ACCEPT, "--budget", BUDGET],
        *["--time-scale", str(scale), "--timeout", str(TIMEOUT_MIN)],
    )
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
