"""Measure what has not been measured yet, one line of the work file each; then summarise.

Everybody trains in the peers' environment, Tonnage and the truth too: the torch is the same.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.max_batch import contenders, environment
from benchmarks.max_batch.cases import CASES, ROOT, Case
from benchmarks.max_batch.contenders import OURS, PEERS, SETTINGS
from benchmarks.max_batch.records import Search, WorkFile
from benchmarks.max_batch.report import document
from benchmarks.max_batch.truth import Trials, find_truth
from benchmarks.record import write
from probes.prober import Prober

WORK_FILE = ROOT / "benchmarks" / ".work" / "max_batch.jsonl"


@dataclass(frozen=True)
class Options:
    cases: list[Case]
    methods: list[str]
    settings: list[str]
    work: Path
    peers_venv: Path
    again: bool
    report_only: bool


def run(arguments: Sequence[str]) -> None:
    options = parse(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that children are ended too
    work = WorkFile(options.work)
    python, peers = sys.executable, {}
    try:
        python = environment.peers_python(options.peers_venv)
        peers = environment.versions(python)
    except environment.NoPeersError as error:
        print(f"the peers are left out. {error}", file=sys.stderr)
    if not options.report_only:
        for case in options.cases:
            measure(case, options, work, python, with_peers=bool(peers))
    plain, markdown = document(work, CASES, peers)
    result = write("max_batch", plain)
    result.with_suffix(".md").write_text(markdown)
    print(f"\n{markdown}\nwritten to {result} and {result.with_suffix('.md').name}")


def parse(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="benchmarks max_batch", description=__doc__)
    names = {case.name: case for case in CASES}

    def choose(option: str, known: Iterable[str], what: str) -> None:
        text = f"{what}: {', '.join(known)}; separated by commas, all by default"
        kind, every = _some_of(known), list(known)
        parser.add_argument(option, type=kind, default=every, help=text, metavar="NAMES")

    choose("--workloads", names, "workloads")
    choose("--methods", (OURS, *PEERS), "methods")
    choose("--settings", SETTINGS, "allocator settings of the peers")
    parser.add_argument("--work", type=Path, default=WORK_FILE, help="the work file")
    parser.add_argument("--peers-venv", type=Path, default=environment.DEFAULT_FOLDER)
    parser.add_argument(
        "--again", action="store_true", help="repeat the chosen searches that are known already"
    )
    parser.add_argument("--report-only", action="store_true", help="summarise what is known")
    asked = parser.parse_args(arguments)
    return Options(
        [names[name] for name in asked.workloads],
        asked.methods,
        asked.settings,
        asked.work,
        asked.peers_venv,
        asked.again,
        asked.report_only,
    )


def measure(case: Case, options: Options, work: WorkFile, python: str, with_peers: bool) -> None:
    """One workload: the truth, every chosen search, and whether what was found survives."""
    if case.identity not in work.truths:
        with Prober(python) as prober:
            truth, lasting = find_truth(Trials(prober, case))
        work.add(lasting)
        work.add(truth)
        print(f"{case.name}: true {truth.largest}, {truth.wall_s:.0f} s", flush=True)
    for method, setting in wanted(options, with_peers):
        known = work.searches.get((case.identity, method, setting))
        if known is None or options.again:
            if method == OURS:
                known = contenders.run_ours(case, python)
            else:
                known = contenders.run_peer(case, method, setting, python)
            work.add(known)
            print(f"{case.name}: {line(known)}", flush=True)
        if known.found and (case.identity, known.found) not in work.survivals:
            with Prober(python) as prober:
                survival = Trials(prober, case).survival(known.found)
            work.add(survival)
            if not survival.survived:
                print(f"{case.name}: {known.found} does not last: {survival.reason}", flush=True)


def wanted(options: Options, with_peers: bool) -> list[tuple[str, str]]:
    pairs = [(OURS, "own")] if OURS in options.methods else []
    if with_peers:
        peers = [method for method in options.methods if method != OURS]
        pairs += [(method, setting) for setting in options.settings for method in peers]
    return pairs


def line(search: Search) -> str:
    answer = f"crashed ({search.crash})" if search.crash else f"found {search.found}"
    cost = f"{search.steps} steps, {search.samples} samples, {search.wall_s:.0f} s"
    return f"{search.method} ({search.setting}) {answer}; {cost}"


def _some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    """An argument's type: names of a known set, separated by commas."""
    known = list(known)

    def names(text: str) -> list[str]:
        chosen = [name for name in text.split(",") if name]
        if unknown := [name for name in chosen if name not in known]:
            raise argparse.ArgumentTypeError(f"{unknown[0]!r} is not one of {', '.join(known)}")
        return chosen

    return names
