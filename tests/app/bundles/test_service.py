"""Bundles in the database: stored once, kept as long as something needs them."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from app.bundles import archive, repository, service
from app.bundles.archive import Content, InvalidBundle
from app.clock import utc_now
from app.database.models.bundles import BundleChunkRow, BundleRow
from app.database.models.serving import JobRow
from app.errors import Conflict, NotAccepted, NotFound
from app.jobs import queue, runner_repository
from app.jobs.waiting import waits_for
from app.retention.prune import plan, prune
from app.settings import load_settings
from app.settings.serving import BundleSettings
from app.studies import service as studies
from app.studies import view
from app.tuning.owner import this_place, this_process
from app.tuning.state import StudyState
from probes.errors import InputError
from tests.app.jobs.conftest import offers, request

SETTINGS = BundleSettings(max_bytes=8 * 2**20, keep_days=30)
OLD = timedelta(days=31)


def store(database, content: bytes = b"print(1)", by: str = "") -> str:
    packed = archive.pack([Content("train.py", content)])
    return service.store(database, SETTINGS, archive.name_of(packed), packed, by).id


def age(database, bundle_id: str) -> None:
    with database.write() as session:
        session.get_one(BundleRow, bundle_id).used_at = utc_now() - OLD


def accepting(database):
    """A runner that accepts bundles."""
    from dataclasses import replace

    with database.write() as session:
        offered = replace(offers(), bundles="")
        runner_repository.add(session, "run_1", this_process(), this_place(), offered)
        found = runner_repository.locked(session, "run_1")
        assert found is not None
        return found


def submit(database, bundle_id: str, **changes):
    asked = {"workload": "/home/ada/train.py:Net", "bundle": bundle_id}
    return studies.submit(
        database,
        request(**{**asked, "bundle_entry": "train.py:Net", **changes}),
        settings=load_settings(),
    )


def test_it_is_stored_once_whatever_its_size(database):
    noise = random.Random(1).randbytes(3 * 2**20)
    first, second = store(database, noise, "key_a"), store(database, noise, "key_b")
    assert first == second
    with database.read() as session:
        assert session.query(BundleChunkRow).count() == 4
    assert service.get(database, first).sent_by == "key_a"
    content = service.content(database, SETTINGS, first)
    assert archive.name_of(content) == first
    assert noise in content


def test_another_content_than_its_name_says_is_refused(database):
    packed = archive.pack([Content("train.py", b"1")])
    with pytest.raises(InvalidBundle, match="is not the bundle"):
        service.store(database, SETTINGS, "0" * 64, packed)
    with pytest.raises(NotFound):
        service.get(database, "0" * 64)


def test_what_nothing_has_used_for_a_while_goes(database):
    old = store(database, b"1")
    age(database, old)
    new = store(database, b"2")
    with pytest.raises(NotFound):
        service.get(database, old)
    with database.read() as session:
        assert [row.bundle_id for row in session.query(BundleChunkRow)] == [new]


def test_what_a_job_needs_stays(database):
    accepting(database)
    waiting, measured, over, unused = (store(database, text) for text in (b"1", b"2", b"3", b"4"))
    jobs = [submit(database, each) for each in (waiting, measured, over)]
    with database.write() as session:
        for job, ended_at in zip(jobs[1:], (utc_now(), utc_now() - OLD), strict=True):
            row = session.get_one(JobRow, job.id)
            row.state, row.active_key = StudyState.FINISHED, None
            row.updated_at = row.finished_at = ended_at
    for each in (waiting, measured, over, unused):
        age(database, each)
    before = utc_now() - timedelta(days=30)
    assert plan(database, before)["bundles"] == 2
    assert prune(database, before)["bundles"] == 2
    with database.read() as session:
        assert {row.id for row in session.query(BundleRow)} == {waiting, measured}


def test_a_study_names_a_bundle_that_is_stored_and_uses_it(database):
    accepting(database)
    bundle_id = store(database)
    age(database, bundle_id)
    job = submit(database, bundle_id)
    assert service.get(database, bundle_id).used_at > utc_now() - timedelta(minutes=5)
    assert (job.trains, job.request.entry) == ("/home/ada/train.py:Net", "train.py:Net")
    shown = view.page(database, limit=9, workload="/home/ada/train.py:Net")
    assert [each.id for each in shown] == [job.id]
    with pytest.raises(NotFound, match="Send it again"):
        submit(database, "1" * 64)
    with pytest.raises(Conflict, match="needs the bundle"):
        service.delete(database, bundle_id)


def test_where_no_host_accepts_bundles_it_is_refused_at_once(database):
    bundle_id = store(database)
    with pytest.raises(NotAccepted, match="accept = true"):
        submit(database, bundle_id)


def test_only_a_runner_that_accepts_bundles_takes_it(database):
    bundle_id = store(database)
    runner = accepting(database)
    job = submit(database, bundle_id)
    with database.write() as session:
        refusing = runner_repository.set_offers(session, runner.id, offers())
        assert not queue.is_work_for(session, refusing)
    assert "accepts code" in waits_for(database, job)
    with database.write() as session:
        from dataclasses import replace

        able = runner_repository.set_offers(session, runner.id, replace(offers(), bundles=""))
        claimed = queue.claim(session, able)
    assert claimed is not None
    assert claimed[0].id == job.id


def test_its_results_are_never_taken_for_those_of_a_registered_workload(database):
    accepting(database)
    with pytest.raises(InputError, match="registered name"):
        submit(database, store(database), workload="transformer")


@pytest.mark.parametrize("entry", ["../train.py:Net", "a/../../x.py:Net", "transformer"])
def test_a_workload_that_is_not_in_the_bundle_is_refused(database, entry):
    accepting(database)
    bundle_id = store(database)
    with pytest.raises(InputError):
        submit(database, bundle_id, bundle_entry=entry)


def test_the_same_question_of_another_bundle_is_another_one(database):
    accepting(database)
    ids = {submit(database, store(database, text)).id for text in (b"1", b"2", b"1")}
    assert len(ids) == 2
    assert request().key == request(bundle=None, bundle_entry=None).key


def test_without_a_bundle_a_name_with_a_colon_is_no_workload(database):
    accepting(database)
    for name in ("bundle:", "train.py:Net"):
        with pytest.raises(InputError):
            studies.submit(database, request(workload=name), settings=load_settings())


def test_touching_says_whether_it_is_stored(database):
    bundle_id = store(database)
    assert service.is_stored(database, bundle_id)
    assert not service.is_stored(database, "2" * 64)
    with database.write() as session:
        assert repository.remove(session, bundle_id)
    assert not service.is_stored(database, bundle_id)
