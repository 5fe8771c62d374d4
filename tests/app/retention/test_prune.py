"""What is old goes, and nothing that an answer rests on."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from app.clock import utc_now
from app.database import open_database
from app.database.models.finetuning import (
    EvaluationItemRow,
    FineTuningEventRow,
    FineTuningRow,
)
from app.database.models.results import CheckRow, MeasurementRankRow, MeasurementRow, StudyRow
from app.database.models.searching import PredictionRow
from app.database.models.serving import JobEventRow, JobKeyRow, JobRow
from app.database.url import sqlite_file
from app.finetunings import reading
from app.finetunings import service as finetunings
from app.jobs import repository as jobs
from app.knowledge import service as knowledge
from app.measurements import service as measurements
from app.recommendations import service as recommendations
from app.retention.backup import compact
from app.retention.prune import plan, prune
from app.studies import service, view
from app.tuning import service as studies
from app.tuning.store import SqlStudyStore
from tests.app import contents, factories
from tests.app.jobs.conftest import request
from tests.app.retention.conftest import unfinished_study

KINDS = (
    "jobs",
    "studies",
    "measurements",
    "checks",
    "fleet_answers",
    "finetunings",
    "evidence",
    "bundles",
)
NOTHING = dict.fromkeys(KINDS, 0)
LONG_AGO = timedelta(days=400)


def age(database, *models) -> None:
    """Everything in these tables happened long ago."""
    with database.write() as session:
        for model in models:
            for name in ("created_at", "updated_at", "finished_at"):
                if hasattr(model, name):
                    column = getattr(model, name)
                    moment = utc_now() - LONG_AGO
                    session.execute(update(model).where(column.is_not(None)).values({name: moment}))


def cutoff():
    return utc_now() - timedelta(days=90)


def batches(database) -> list[int]:
    return sorted(record.batch_size for record in contents.measurements(database))


@pytest.fixture
def old(database, filled):
    age(database, StudyRow, MeasurementRow)
    return filled


def test_what_is_young_stays(database, filled):
    assert prune(database, cutoff()) == NOTHING
    assert batches(database) == [8, 8, 16, 32, 64]


def test_a_recommendation_its_study_and_what_it_measured_stay_however_old(database, old):
    assert prune(database, cutoff()) == NOTHING | {"studies": 1, "measurements": 3}
    assert batches(database) == [8, 16]
    assert recommendations.of_study(database, old["finished"]) is not None
    store = SqlStudyStore(database, old["finished"], factories.spec())
    assert len(store.measurements()) == 2
    assert store.trials() == [factories.trial()]
    with database.read() as session:
        assert session.query(PredictionRow).count() == 1
        assert session.query(MeasurementRankRow).count() == 0  # they went with their measurement
    assert [study.id for study in view.page(database, limit=10)] == [old["finished"]]


def test_a_dry_run_says_the_same_and_deletes_nothing(database, old):
    expected = plan(database, cutoff())
    assert batches(database) == [8, 8, 16, 32, 64]
    assert prune(database, cutoff()) == expected
    assert plan(database, cutoff()) == NOTHING


def test_what_a_young_study_reused_stays(database, filled):
    age(database, MeasurementRow)
    spec = factories.spec("validation")
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    assert store.find_measurement({"layers": 4}, 32, factories.measurement().purpose) is not None
    studies.stop(database, study.id)
    with database.write() as session:
        moment = utc_now() - LONG_AGO
        unfinished = StudyRow.id == filled["unfinished"]
        session.execute(update(StudyRow).where(unfinished).values(updated_at=moment))
    assert prune(database, cutoff()) == NOTHING | {"studies": 1, "measurements": 2}
    assert batches(database) == [8, 16, 32]


def test_jobs_that_are_over_go_with_events_and_keys_and_others_stay(database):
    over = service.submit(database, request(), idempotency_key="key")
    service.cancel(database, over.id)
    waiting = service.submit(database, request(trials=2))
    age(database, JobRow)
    assert prune(database, cutoff()) == NOTHING | {"jobs": 1}
    assert [each.id for each in view.page(database, limit=10)] == [waiting.id]
    with database.read() as session:
        assert {event.job_id for event in session.query(JobEventRow)} == {waiting.id}
        assert session.query(JobKeyRow).count() == 0


def test_a_study_that_a_job_is_to_go_on_with_stays(database):
    study_id = unfinished_study(database)
    job = service.submit(database, request())
    with database.write() as session:
        row = jobs.locked(session, job.id)
        assert row is not None
        row.study_id = study_id
    age(database, StudyRow, MeasurementRow, JobRow)
    assert prune(database, cutoff()) == NOTHING
    service.cancel(database, job.id)
    age(database, StudyRow, JobRow)
    assert prune(database, cutoff()) == NOTHING | {"jobs": 1, "studies": 1, "measurements": 1}


def test_checks_go(database):
    with database.write() as session:
        for number in range(3):
            session.add(
                CheckRow(
                    id=f"check_{number}",
                    verdict="fits",
                    workload="w",
                    device="cpu",
                    fingerprint="f",
                    recommendation_id=None,
                    document={},
                    created_at=utc_now() - LONG_AGO * (number > 0),
                )
            )
    assert prune(database, cutoff())["checks"] == 2


def test_fine_tunings_without_a_model_go_with_their_events_and_rows(database):
    done, failed, running = (factories.finetuning(database, output=f"/{n}") for n in range(3))
    for run in (done, failed):
        finetunings.add_event(database, run.id, {"step": 1, "loss": 1.0})
        finetunings.add_rows(database, run.id, "snake", [factories.evaluation_row()])
    finetunings.finish(database, done.id, "done")
    finetunings.finish(database, failed.id, "failed", reason="It ran out of memory.")
    age(database, FineTuningRow)
    assert prune(database, cutoff()) == NOTHING | {"finetunings": 1}
    assert {run.id for run in reading.page(database, limit=9)} == {done.id, running.id}
    with database.read() as session:
        assert session.query(FineTuningEventRow).count() == 1
        assert session.query(EvaluationItemRow).count() == 1


def test_more_rows_than_are_deleted_at_once(database, monkeypatch):
    monkeypatch.setattr("app.retention.prune.AT_ONCE", 4)
    for batch in range(1, 12):
        measurements.record(database, factories.scope(), factories.measurement(batch))
    age(database, MeasurementRow)
    assert prune(database, cutoff())["measurements"] == 11
    assert contents.measurements(database) == []


def test_the_file_becomes_smaller(database):
    for batch in range(1, 120):
        measurements.record(
            database, factories.scope(), factories.measurement(batch, stderr_tail="x" * 8000)
        )
    with database.engine.connect() as connection:
        if database.is_sqlite:
            connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    age(database, MeasurementRow)
    prune(database, cutoff())
    file = sqlite_file(database.url)
    before = file.stat().st_size if file else 0
    assert compact(database) == ""
    assert file is None or file.stat().st_size < before / 2


def test_a_file_in_use_is_left_as_large_as_it_is(sqlite_url):
    database = open_database(sqlite_url, busy_timeout_s=0.05)
    with database.write() as session:
        session.execute(text("UPDATE tonnage_checks SET verdict = 'fits'"))  # takes the lock
        assert "not made smaller" in compact(database)
    database.close()


def test_evidence_goes_when_the_claim_was_measured_again(database):
    old = knowledge.record(database, factories.evidence())
    again = knowledge.record(database, factories.evidence(measured_at="2026-01-03T00:00:00+00:00"))
    elsewhere = knowledge.record(database, factories.evidence(fingerprint="e" * 16))
    assert prune(database, utc_now()) == NOTHING | {"evidence": 1}
    assert [row.id for row in knowledge.page(database, limit=9)] == [elsewhere.id, again.id]
    assert old.id not in {again.id, elsewhere.id}
