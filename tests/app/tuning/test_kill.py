"""A study that is killed again and again, on a real database, as ``kill -9`` does it.

Each attempt is a forked process that kills itself at a random moment of a random probe: before it
ran, after it ran and before it was stored, or after it was stored. A log file that the device
writes tells which probes were run.
"""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import sklearn.gaussian_process  # noqa: F401  # once, not in each fork

from app.database import Database, open_database
from app.recommendations import service as recommendations
from app.tuning import service
from app.tuning.store import SqlStudyStore
from optimizer.budgets import DEFAULT_BUDGETS, Budget
from optimizer.records import Prediction, Recommendation, StudySpec
from optimizer.study import Study
from probes.max_batch import Ask
from probes.measurement import Config, Measurement
from probes.space import Choice
from tests.app import factories
from tests.app.conftest import KINDS
from tests.optimizer.memory_store import MemoryStore, ScriptedFleet, grid_device, spec

WINDOW = Budget("prototyping", 30.0, 30.0, trials=20)
KILLED, DONE = -signal.SIGKILL, 0
MOST_KILLS = 40


def question(budget: Budget) -> StudySpec:
    space = {"layers": Choice([1, 2, 4]), "width": Choice([8, 16, 64])}
    scope = factories.scope(workload="scripted", device="cpu")
    return replace(spec(budget, space), scope=scope)


class Doomed(SqlStudyStore):
    """Dies around the commit of a measurement, if it is told to."""

    dies: str = ""

    def add_measurement(
        self, trial_number: int, measurement: Measurement, predictions: list[Prediction]
    ) -> None:
        if self.dies == "before it is stored":
            os.kill(os.getpid(), signal.SIGKILL)
        super().add_measurement(trial_number, measurement, predictions)
        if self.dies == "after it is stored":
            os.kill(os.getpid(), signal.SIGKILL)


def attempt(url: str, asked: StudySpec, log: Path, seed: int | None) -> int:
    """Run the study in a fork, to its end or until it kills itself; how the fork ended."""
    pid = os.fork()
    if pid == 0:
        try:
            _run(open_database(url), asked, log, seed)
            os._exit(DONE)
        except BaseException as error:
            log.with_suffix(".error").write_text(repr(error))
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _run(database: Database, asked: StudySpec, log: Path, seed: int | None) -> None:
    study, opening = service.open_study(database, asked)
    assert opening in ("new", "resumed")
    store = Doomed(database, study.id, asked)
    fleet = ScriptedFleet(grid_device)
    chance = random.Random(seed)
    left = chance.randint(1, 2) if seed is not None else -1

    def probe(config: Config, ask: Ask) -> Measurement:
        nonlocal left
        left -= 1
        store.dies = chance.choice(MOMENTS) if left == 0 else ""
        if store.dies == "before it ran":
            os.kill(os.getpid(), signal.SIGKILL)
        with log.open("a") as file:
            file.write(f"{config} {ask.batch_size} {ask.purpose}\n")
        return fleet(config, ask)

    outcome = Study(asked, study.id, store, probe).run()
    service.finish(database, study.id, outcome.recommendation)
    database.close()


MOMENTS = ("before it ran", "before it is stored", "after it is stored")


def stored(url: str) -> tuple[Recommendation, list[Measurement]]:
    database = open_database(url)
    [recommendation] = recommendations.listing(database)
    store = SqlStudyStore(database, recommendation.study["id"], question(WINDOW))
    measurements = store.measurements()
    database.close()
    return recommendation, measurements


@pytest.mark.parametrize("budget", [WINDOW, DEFAULT_BUDGETS["production"]], ids=lambda b: b.name)
@pytest.mark.parametrize(
    ("kind", "round_"), [("sqlite", 1), ("sqlite", 2), *((kind, 3) for kind in KINDS)]
)
def test_killed_again_and_again_it_loses_and_repeats_nothing(
    database_url: str, tmp_path: Path, budget: Budget, round_: int
) -> None:
    open_database(database_url).close()  # migrated once, not in each fork
    asked, log = question(budget), tmp_path / "probes"
    kills = 0
    while (ended := attempt(database_url, asked, log, seed=1000 * round_ + kills)) == KILLED:
        kills += 1
        assert kills < MOST_KILLS
    assert ended == DONE, log.with_suffix(".error").read_text()

    whole = ScriptedFleet(grid_device)
    undisturbed = Study(asked, "st_1", MemoryStore(), whole).run().recommendation
    found, measurements = stored(database_url)
    ran = Counter(log.read_text().splitlines())
    kept = Counter(f"{m.config} {m.batch_size} {m.purpose}" for m in measurements)

    assert kills >= 2
    assert max(kept.values()) == 1, "a finished probe was repeated"
    assert set(kept) == set(ran), "a finished probe was lost"
    assert sum(ran.values()) - sum(kept.values()) <= kills, "only the probe in flight is lost"
    assert undisturbed is not None
    assert (found.config, found.batch_size) == (undisturbed.config, undisturbed.batch_size)
    assert len(measurements) == len(whole.calls)
