"""What a gang of workers costs: to start, beside a single probe and beside gloo by itself; and to
search with, beside one rank.

Interleaved on a machine that others use: ratios within a round are the figures, not seconds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.false_safe.real import HEADROOM
from benchmarks.ranks.accuracy import search
from benchmarks.ranks.cases import CASES, Case
from benchmarks.ranks.records import Record, WorkFile
from probes.job import BRACKET_PLAN
from probes.prober import Prober

GLOO = Path(__file__).with_name("gloo_start.py")
SIZES = (1, 2, 4)
"""Ranks; one is a single device."""
GANGS = SIZES[1:]
ROUNDS = 5
PAIRS = 2
BATCH = 8
CASE = CASES[0]
SINGLES = 1.5
"""The goal: a gang's start takes at most so many times a single probe's, and gloo's own."""


def run(work: WorkFile, rounds: int = ROUNDS, pairs: int = PAIRS) -> None:
    """Rounds of starts, then pairs of searches, as far as they are not known."""
    for number in range(rounds):
        if work.get("starts", str(number)) is None:
            print(f"round {number}: {work.add('starts', str(number), starts())}", flush=True)
    for number in range(pairs):
        for case in CASES:
            identity = f"{case.name}, {number}"
            if work.get("price of a search", identity) is None:
                record = work.add("price of a search", identity, pair(case, number))
                print(f"{identity}: {record}", flush=True)


def starts() -> Record:
    """Seconds of the first and of a later short probe, and of gloo by itself, by ranks."""
    first, later, gloo = {}, {}, {}
    probers = {ranks: Prober(sys.executable) for ranks in SIZES}
    try:
        for ranks in SIZES:
            first[str(ranks)] = _probe_s(probers[ranks], ranks)
        for ranks in SIZES:
            later[str(ranks)] = _probe_s(probers[ranks], ranks)
            gloo[str(ranks)] = _gloo_s(ranks)
    finally:
        for prober in probers.values():
            prober.close()
    return {"first_s": first, "later_s": later, "gloo_s": gloo}


def _probe_s(prober: Prober, ranks: int) -> float:
    job = CASE.job(BATCH, BRACKET_PLAN, ranks=ranks, headroom=HEADROOM)
    measured = prober.probe(job)
    assert measured.passed, measured.reason
    return round(measured.wall_s, 3)


def _gloo_s(ranks: int) -> float:
    command = [sys.executable, str(GLOO), str(ranks)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    return round(float(ran.stdout.split()[-1]), 3)


def pair(case: Case, number: int) -> Record:
    """The same search by one rank and by a gang of two; who begins changes."""
    order = (1, 2) if number % 2 == 0 else (2, 1)
    found = {str(ranks): _search(case, ranks, number) for ranks in order}
    return {ranks: found[ranks] for ranks in sorted(found)}


def _search(case: Case, ranks: int, seed: int) -> Record:
    began_s = time.monotonic()
    with Prober(sys.executable) as prober:
        answer = search(
            prober, lambda b, plan: case.job(b, plan, ranks=ranks, seed=seed, headroom=HEADROOM)
        )
    return {
        "max_batch": answer.max_batch,
        "probes": answer.probes,
        "samples": answer.samples,
        "seconds": round(time.monotonic() - began_s, 1),
    }


def summary(work: WorkFile) -> dict[str, Any]:
    """Medians over the rounds and pairs."""
    rounds = list(work.of("starts").values())
    pairs = work.of("price of a search")
    return {
        "rounds": len(rounds),
        "starts": {str(ranks): _starts(rounds, str(ranks)) for ranks in SIZES} if rounds else {},
        "searches": pairs,
        "probes_of_gang": _median_of(pairs, "2", "probes"),
        "probes_of_one": _median_of(pairs, "1", "probes"),
        "seconds_gang_over_one": _ratio(
            [each["2"]["seconds"] / each["1"]["seconds"] for each in pairs.values()]
        ),
    }


def _starts(rounds: list[Record], ranks: str) -> dict[str, float | None]:
    return {
        "first_s": round(median(each["first_s"][ranks] for each in rounds), 2),
        "later_s": round(median(each["later_s"][ranks] for each in rounds), 2),
        "gloo_s": round(median(each["gloo_s"][ranks] for each in rounds), 2),
        "first_over_single": _ratio([_over(each["first_s"], ranks) for each in rounds]),
        "later_over_single": _ratio([_over(each["later_s"], ranks) for each in rounds]),
        "first_over_goal": _ratio([of_goal(each, "first_s", ranks) for each in rounds]),
        "later_over_goal": _ratio([of_goal(each, "later_s", ranks) for each in rounds]),
    }


def _over(seconds: dict[str, float], ranks: str) -> float:
    return seconds[ranks] / seconds["1"]


def of_goal(record: Record, which: str, ranks: str) -> float:
    """A gang's start over what it may take: at most 1 where the goal is met."""
    allowed_s = SINGLES * record[which]["1"] + record["gloo_s"][ranks]
    return float(record[which][ranks] / allowed_s)


def _ratio(values: list[float]) -> float | None:
    return round(median(values), 2) if values else None


def _median_of(pairs: dict[str, Record], ranks: str, what: str) -> float | None:
    return median(each[ranks][what] for each in pairs.values()) if pairs else None
