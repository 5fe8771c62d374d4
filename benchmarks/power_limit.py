"""A power limit under ``kill -9``: 100 kills at random moments, and a look at the limit after each.

The driver lies in a file (``tests/probes/energy/file_nvml.py``): a real limit may be changed by an
administrator only. In three of four kills, the process that changes the limit dies. In the fourth
its guardian dies just before it, and the next start has to give the limit back.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.record import write
from probes.energy.power_limit import give_back_left_over
from probes.energy.power_record import load_nvml, record_file
from tests.probes.energy import file_nvml
from tests.probes.energy.limits_power import FACTS, NVML

ROOT = Path(__file__).resolve().parents[1]
WITHIN_S = 10.0
START_S = 0.6
"""A process takes about this long to start: kills fall before, while and after it sets limits."""


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks power_limit", description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args(arguments or [])
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory(prefix="tonnage-power-") as scratch:
        folder = Path(scratch)
        os.environ["FILE_NVML"] = str(folder / "driver.json")
        file_nvml.write(limit_mw=file_nvml.USUAL_MW)
        kills = [kill(folder, rng, both=number % 4 == 3) for number in range(asked.kills)]
    seconds = sorted(each["seconds"] for each in kills)
    result = {
        "kills": len(kills),
        "of_the_guardian_too": sum(each["both"] for each in kills),
        "while_the_limit_was_another": sum(each["was_another"] for each in kills),
        "restored": sum(each["restored"] for each in kills),
        "restored_by": {
            name: sum(each["by"] == name for each in kills)
            for name in ("nobody had to", "guardian", "next start")
        },
        "seconds_to_the_usual_limit": {
            "median": round(statistics.median(seconds), 3),
            "longest": round(seconds[-1], 3),
        },
        "processes_left": len(alive(kills)),
    }
    print(result)
    print(f"written to {write('power_limit', result)}")
    if result["restored"] != len(kills) or result["processes_left"]:
        raise SystemExit(1)


def kill(folder: Path, rng: random.Random, *, both: bool) -> dict[str, Any]:
    """Start a process that changes the limit, kill it, and see whether the limit is given back."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.probes.energy.limits_power", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    guardian = 0
    if both or rng.random() < 0.5:
        guardian = int(process.stdout.readline() or 0)
        time.sleep(rng.uniform(0.0, 0.5))
    else:  # perhaps before it has a guardian
        time.sleep(rng.uniform(0.2, 2 * START_S))
    if both:
        with contextlib.suppress(ProcessLookupError):
            os.kill(guardian, signal.SIGKILL)
    process.send_signal(signal.SIGKILL)
    process.wait()
    was_another = file_nvml.limit_w() * 1000 != file_nvml.USUAL_MW
    began_s = time.monotonic()
    record = record_file(str(FACTS.identity["uuid"]), folder)
    by = "guardian" if was_another else "nobody had to"
    while not both and record.exists() and time.monotonic() - began_s < WITHIN_S:
        time.sleep(0.005)
    if record.exists() and give_back_left_over([FACTS], folder, load_nvml(NVML)) and was_another:
        by = "next start"
    return {
        "both": both,
        "was_another": was_another,
        "restored": file_nvml.limit_w() * 1000 == file_nvml.USUAL_MW and not record.exists(),
        "by": by,
        "seconds": time.monotonic() - began_s,
        "guardian": guardian,
    }


def alive(kills: list[dict[str, Any]]) -> list[int]:
    """Guardians that still run a moment after everything is over."""
    deadline_s = time.monotonic() + WITHIN_S
    left = [each["guardian"] for each in kills if each["guardian"]]
    while left and time.monotonic() < deadline_s:
        left = [pid for pid in left if Path(f"/proc/{pid}").exists()]
        time.sleep(0.05)
    return left


if __name__ == "__main__":
    main(sys.argv[1:])
