"""Measure what has not been measured yet, one line of the work file each; then summarise."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.max_batch.cases import CASES, HEADROOM, MIB, ROOT, Case
from benchmarks.record import write

WORK_FILE = ROOT / "benchmarks" / ".work" / "black_box.jsonl"
SCRIPT = Path(__file__).with_name("train.py")
NAMES = ("transformer", "conv", "mlp")
WAYS = ("workload", "command")
MOST_TIMES = 1.5
TIMEOUT_S = 900.0


def run(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks black_box", description=__doc__)
    parser.add_argument("--cases", default=",".join(NAMES), help="of " + ", ".join(NAMES))
    parser.add_argument("--rounds", type=int, default=1, help="searches of each kind")
    parser.add_argument("--work", type=Path, default=WORK_FILE, help="the work file")
    parser.add_argument("--report-only", action="store_true", help="summarise what is known")
    asked = parser.parse_args(arguments)
    cases = [case for case in CASES if case.name in asked.cases.split(",")]
    known = _read(asked.work)
    for case in [] if asked.report_only else cases:
        for number in range(asked.rounds):
            for way in WAYS if number % 2 == 0 else WAYS[::-1]:
                if len([k for k in known if _is(k, case, way)]) > number:
                    continue
                found = search(case, way)
                known.append(found)
                asked.work.parent.mkdir(parents=True, exist_ok=True)
                with asked.work.open("a") as file:
                    file.write(json.dumps(found) + "\n")
                text = f"{found['max_batch']} in {found['wall_s']:.0f} s, {found['probes']} probes"
                print(f"{case.name} as a {way}: {text}", flush=True)
    rows = [row for case in CASES if (row := compare(case, known)) is not None]
    print(f"\n{table(rows)}\n")
    print(f"written to {write('black_box', {'searches': known, 'cases': rows})}")


def search(case: Case, way: str) -> dict[str, Any]:
    """``tonnage max-batch``, as a user calls it."""
    command = [sys.executable, "-c", "from app.cli import main; main()", "max-batch"]
    if way == "workload":
        command.append(case.spec)
    else:
        options = [word for name in case.config for word in (f"--{name}", f"{{{name}}}")]
        script = [sys.executable, str(SCRIPT), "--model", case.workload]
        template = shlex.join([*script, "--batch-size", "{batch_size}", *options])
        command += ["--command", template]
    for name, value in case.config.items():
        command += ["--set", f"{name}={value}"]
    command += ["--device", "cpu", "--memory-budget", f"{case.budget_mib}MiB"]
    command += ["--headroom", str(HEADROOM), "--python", sys.executable, "--json"]
    with tempfile.TemporaryDirectory() as home:
        environ = {**os.environ, "TONNAGE_DATA_DIR": home, "XDG_CONFIG_HOME": home}
        began_s = time.monotonic()
        ran = subprocess.run(
            command, cwd=home, env=environ, capture_output=True, timeout=TIMEOUT_S, check=False
        )
        wall_s = time.monotonic() - began_s
    if ran.returncode not in (0, 1):
        raise RuntimeError(ran.stderr.decode(errors="replace")[-2000:])
    answer = json.loads(ran.stdout)
    return {
        "case": case.identity,
        "way": way,
        "max_batch": answer["max_batch"],
        "binding": answer["binding"],
        "peak_mib": round((answer.get("peak_bytes") or 0) / MIB, 1),
        "wall_s": round(wall_s, 1),
        **{name: answer[name] for name in ("probes", "steps_run", "samples_processed", "runs")},
    }


def compare(case: Case, known: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Both ways side by side; ``None`` while one is missing."""
    both = {way: [k for k in known if _is(k, case, way)] for way in WAYS}
    if not all(both.values()):
        return None
    own, black = ([k["max_batch"] or 0 for k in both[way]] for way in WAYS)
    own_s, black_s = (median([k["wall_s"] for k in both[way]]) for way in WAYS)
    apart = max(abs(b / o - 1) if o else 1.0 for b in black for o in own)
    return {
        "case": case.name,
        "workload_batch": own,
        "command_batch": black,
        "apart": round(apart, 4),
        "workload_s": own_s,
        "command_s": black_s,
        "times": round(black_s / own_s, 2),
        "probes": [median([k["probes"] for k in both[way]]) for way in WAYS],
        "goals_met": apart <= HEADROOM and black_s <= MOST_TIMES * own_s,
    }


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| model | batch as a workload | as a command | apart | seconds | seconds | × | goals |",
        "|---|--:|--:|--:|--:|--:|--:|---|",
    ]
    for row in rows:
        own, black = (", ".join(map(str, row[f"{way}_batch"])) for way in WAYS)
        lines.append(
            f"| {row['case']} | {own} | {black} | {row['apart']:.1%} | {row['workload_s']:.0f} | "
            f"{row['command_s']:.0f} | {row['times']:.2f} | "
            f"{'met' if row['goals_met'] else 'missed'} |"
        )
    return "\n".join(lines)


def _is(found: dict[str, Any], case: Case, way: str) -> bool:
    return bool(found["case"] == case.identity and found["way"] == way)


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line]
