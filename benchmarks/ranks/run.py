"""Measure what has not been measured yet, one line of the work file each; then summarise."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ranks import accuracy, faults, peers, price
from benchmarks.ranks.records import WorkFile
from benchmarks.ranks.report import document
from benchmarks.record import write

ROOT = Path(__file__).resolve().parents[2]
WORK_FILE = ROOT / "benchmarks" / ".work" / "ranks.jsonl"
PARTS = ("faults", "accuracy", "peers", "price")


def run(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks ranks", description=__doc__)
    text = f"parts: {', '.join(PARTS)}; separated by commas, all by default"
    parser.add_argument("--parts", default=",".join(PARTS), help=text)
    parser.add_argument("--faults", type=int, default=100, metavar="N", help="how many faults")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of faults")
    parser.add_argument("--searches", type=int, default=40, metavar="N", help="for accuracy")
    parser.add_argument(
        "--scans", type=int, default=6, metavar="N", help="of the first searches, to know the truth"
    )
    parser.add_argument(
        "--minutes", type=float, default=600.0, help="begin no search of accuracy after this time"
    )
    parser.add_argument("--work", type=Path, default=WORK_FILE, help="the work file")
    parser.add_argument("--report-only", action="store_true", help="summarise what is known")
    asked = parser.parse_args(arguments)
    parts = asked.parts.split(",")
    if unknown := [part for part in parts if part not in PARTS]:
        parser.error(f"{unknown[0]!r} is not one of {', '.join(PARTS)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that children are ended too
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    work = WorkFile(asked.work)
    for part in [] if asked.report_only else parts:
        if part == "faults":
            faults.run(work, asked.faults, asked.seed)
        elif part == "accuracy":
            until_s = time.monotonic() + 60 * asked.minutes
            accuracy.run(work, asked.searches, asked.scans, until_s)
        elif part == "peers":
            peers.run(work)
        else:
            price.run(work)
    plain, markdown = document(work)
    result = write("ranks", plain, peers.PACKAGES)
    result.with_suffix(".md").write_text(markdown)
    print(f"\n{markdown}\nwritten to {result} and {result.with_suffix('.md').name}")
