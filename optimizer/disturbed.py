"""Which results of a study are in doubt because the machine was disturbed. Pure functions.

See ``probes.doubt`` for what interference can and cannot do to a measurement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from optimizer.records import Trial, short_hash
from probes.doubt import doubts, is_better, is_too_slow
from probes.measurement import Measurement, Purpose

Probe = tuple[str, int, Purpose]


def standing(runs: Iterable[Measurement]) -> list[Measurement]:
    """Keep one run of each probe (config, batch size, purpose): the last clean one, else the best
    disturbed one. Ordered by the first run of each probe, oldest first."""
    best: dict[Probe, Measurement] = {}
    for run in runs:
        probe = (short_hash(run.config), run.batch_size, run.purpose)
        before = best.get(probe)
        if before is None or not run.tainted or (before.tainted and is_better(run, before)):
            best[probe] = run
    return list(best.values())


def confirmation(trial: Trial, runs: Sequence[Measurement]) -> Measurement | None:
    """The passing confirmation run of a feasible trial, among ``standing`` runs."""
    for run in runs:
        if (
            run.passed
            and run.purpose is Purpose.CONFIRM
            and run.config == trial.config
            and run.batch_size == trial.batch_size
        ):
            return run
    return None


def in_doubt(trial: Trial, runs: Sequence[Measurement], longest_step_s: float | None) -> list[str]:
    """What disturbed the run that decides a trial's outcome; empty when the outcome is certain.

    The confirmation decides a feasible trial, and the lowest failing run an infeasible one.
    """
    run: Measurement | None = None
    if trial.state == "feasible":
        run = confirmation(trial, runs)
    elif trial.state == "infeasible":
        failing = [
            r
            for r in runs
            if r.config == trial.config and (not r.passed or is_too_slow(r, longest_step_s))
        ]
        run = min(
            failing,
            key=lambda r: (r.batch_size, bool(doubts(r, longest_step_s))),
            default=None,
        )
    return [] if run is None else doubts(run, longest_step_s)
