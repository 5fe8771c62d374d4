"""A database with some of everything that is kept."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.database import Database
from app.devices import service as devices
from app.finetunings import service as finetunings
from app.knowledge import service as knowledge
from app.measurements import service as measurements
from app.tuning import service as studies
from app.tuning.store import SqlStudyStore
from app.workloads import service as workloads
from optimizer.records import Prediction
from probes.devices.fingerprint import Fingerprint
from tests.app import factories

Fill = Callable[[Database], dict[str, str]]


def finished_study(database: Database, budget: str = "smoke_test") -> str:
    """With a trial, two measurements, a prediction and a recommendation."""
    spec = factories.spec(budget)
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    store.add_measurement(
        0, factories.measurement(), [Prediction("peak_bytes", 1.0, float("-inf"), 2.0)]
    )
    store.add_measurement(0, factories.measurement(16, tainted=["busy"]), [])
    store.add_trial(factories.trial())
    recommendation = factories.recommendation(study.id.replace("st_", "rec_"), budget=budget)
    studies.finish(database, study.id, recommendation, wall_s=60)
    return study.id


def unfinished_study(database: Database, budget: str = "prototyping") -> str:
    """With a trial and a measurement of its own."""
    spec = factories.spec(budget)
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    store.add_measurement(0, factories.measurement(32, config={"layers": 4}), [])
    store.add_trial(factories.trial())
    studies.stop(database, study.id)
    return study.id


@pytest.fixture
def filled(database: Database) -> dict[str, str]:
    """Ids of what was stored."""
    fingerprint = Fingerprint({"model": "any", "value": float("nan")}, {"model": "any"})
    devices.register(database, fingerprint, kind="cpu", name="Any CPU")
    workloads.register(database, "other.py:Net", "hash", factories.spec().space)
    found = {"finished": finished_study(database), "unfinished": unfinished_study(database)}
    measurements.record(database, factories.scope(), factories.measurement(64))
    gang_scope = factories.scope(device="cpu:0-1")
    measurements.record(database, gang_scope, factories.gang_measurement())
    tuned = factories.finetuning(database)
    finetunings.add_event(database, tuned.id, {"step": 1, "loss": float("nan"), "epoch": 0.5})
    finetunings.add_rows(database, tuned.id, "snake", [factories.evaluation_row()], {"n": 1})
    finetunings.finish(database, tuned.id, "done", {"step": 1})
    knowledge.record(database, factories.evidence(high=float("inf")))
    return found
