"""Asking for a study, looking at it, cancelling it, deleting it: nothing runs here."""

from __future__ import annotations

import threading

import pytest

from app.database import open_database
from app.errors import Conflict, IdempotencyConflict, NotFound, NotRegistered
from app.jobs import events, queue, repository, runner_repository
from app.jobs.waiting import waits_for
from app.recommendations import service as recommendations
from app.studies import service, view
from app.tuning import service as studies
from app.tuning.owner import Owner, this_place, this_process
from app.tuning.state import StudyState
from app.tuning.store import SqlStudyStore
from probes.errors import InputError
from tests.app import contents, factories
from tests.app.jobs.conftest import add_event, kinds, offers, request, state


@pytest.fixture
def runner(database):
    """A runner with one device that is alive: this process."""
    with database.write() as session:
        runner_repository.add(session, "run_1", this_process(), this_place(), offers("cpu"))
        return runner_repository.locked(session, "run_1")


def take(database, runner):
    """The job that the runner takes, if any."""
    with database.write() as session:
        claimed = queue.claim(session, runner)
    return claimed[0] if claimed else None


def end(database, job, *, as_state: str) -> None:
    with database.write() as session:
        queue.end(session, job.id, "run_1", StudyState(as_state))


class TestSubmitting:
    def test_a_job_is_queued_with_what_was_asked(self, database):
        asked = request(device="cuda:0", trials=3, options={"length": 32}, fresh=True)
        job = service.submit(database, asked)
        assert job.id.startswith("st_")
        assert (job.state, job.study_id, job.request) == ("queued", None, asked)
        assert service.get(database, job.id) == job
        assert kinds(database, job) == ["queued"]

    def test_the_same_question_while_it_is_active_is_the_same_job(self, database, runner):
        job = service.submit(database, request())
        assert service.submit(database, request()).id == job.id
        take(database, runner)
        assert service.submit(database, request()).id == job.id
        assert service.submit(database, request(trials=7)).id != job.id

    @pytest.mark.parametrize("ended", ["finished", "failed", "cancelled"])
    def test_a_job_that_is_over_is_asked_again(self, database, runner, ended):
        job = service.submit(database, request())
        take(database, runner)
        end(database, job, as_state=ended)
        again = service.submit(database, request())
        assert (again.state, again.id != job.id) == ("queued", True)
        assert state(database, job) == ended

    def test_many_at_once_get_one_job(self, database_url):
        open_database(database_url).close()
        ids: list[str] = []
        start = threading.Barrier(6)

        def ask() -> None:
            database = open_database(database_url)
            start.wait()
            ids.append(service.submit(database, request(), idempotency_key="k").id)
            database.close()

        threads = [threading.Thread(target=ask) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ids) == 6
        assert len(set(ids)) == 1

    def test_an_idempotency_key_stands_for_its_first_job_for_good(self, database, runner):
        job = service.submit(database, request(), idempotency_key="key")
        take(database, runner)
        end(database, job, as_state="finished")
        assert service.submit(database, request(), idempotency_key="key").id == job.id
        assert service.submit(database, request()).id != job.id

    def test_a_key_given_while_another_asked_the_same_stands_for_that_job(self, database, runner):
        job = service.submit(database, request(), idempotency_key="one")
        service.submit(database, request(), idempotency_key="two")
        take(database, runner)
        end(database, job, as_state="finished")
        assert service.submit(database, request(), idempotency_key="two").id == job.id

    def test_a_key_does_not_stand_for_two_requests(self, database):
        service.submit(database, request(), idempotency_key="key")
        with pytest.raises(IdempotencyConflict, match="'key' was used for another study, st_"):
            service.submit(database, request(trials=2), idempotency_key="key")

    @pytest.mark.parametrize(
        "name", ["train.py:Net", "/etc/passwd", "os:system", "os", "../x", "", "a b", "x" * 300]
    )
    def test_only_names_of_registered_workloads_are_taken(self, database, name):
        with pytest.raises(NotRegistered, match="registered"):
            service.submit(database, request(workload=name))
        assert view.page(database, limit=10) == []

    def test_what_only_a_runner_has_registered_is_taken_too(self, database, runner):
        with database.write() as session:
            other = offers("cuda:0", host="there")
            other.workloads["theirs"] = ""
            runner_repository.add(session, "run_2", Owner(1, "there", 1.0), "there", other)
        assert service.submit(database, request(workload="theirs")).state == "queued"

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"budget": "smoke"}, "smoke_test"),
            ({"options": {"data": "/etc/passwd"}, "workload": "visnet"}, "may not set .*'data'"),
            ({"options": {"leak_mib": 1000}}, "may not set .*'leak_mib'"),
            ({"trials": 0}, "trials"),
            ({"cycle_batches": -1}, "cycle_batches"),
            ({"time_scale": 0.0}, "time_scale"),
            ({"time_scale": float("inf")}, "time_scale"),
            ({"headroom": 0.9}, "headroom"),
            ({"memory_budget_bytes": 5}, "memory_budget_bytes"),
            ({"device": " "}, "device"),
            ({"effective_batch_size": 0}, "effective_batch_size"),
            ({"effective_batch_size": 64, "pinned": {"accumulation": 2}}, "accumulation"),
            ({"levers": ["precisoin"]}, "precision"),
            ({"objective": "speed"}, "throughput"),
            ({"sampler": "psychic"}, "predictive"),
            ({"timeout_s": -1.0}, "timeout_s"),
        ],
    )
    def test_what_makes_no_sense_is_refused_by_name(self, database, changes, said):
        with pytest.raises(InputError, match=said):
            service.submit(database, request(**changes))
        assert view.page(database, limit=10) == []


class TestCancelling:
    def test_a_queued_job_is_cancelled_at_once(self, database):
        job = service.submit(database, request())
        assert service.cancel(database, job.id).state == "cancelled"
        assert kinds(database, job) == ["queued", "cancelled"]

    def test_a_running_job_is_left_to_its_runner(self, database, runner):
        job = service.submit(database, request())
        take(database, runner)
        cancelled = service.cancel(database, job.id)
        assert (cancelled.state, cancelled.cancel_requested) == ("running", True)

    def test_a_job_that_goes_back_to_the_queue_meanwhile_does_not_run_again(self, database, runner):
        job = service.submit(database, request())
        take(database, runner)
        service.cancel(database, job.id)
        end(database, job, as_state="queued")
        assert state(database, job) == "cancelled"
        assert take(database, runner) is None

    def test_twice_is_no_error_and_what_is_over_cannot_be(self, database, runner):
        job = service.submit(database, request())
        service.cancel(database, job.id)
        assert service.cancel(database, job.id).state == "cancelled"
        other = service.submit(database, request(trials=2))
        take(database, runner)
        end(database, other, as_state="finished")
        with pytest.raises(Conflict, match="is finished already"):
            service.cancel(database, other.id)

    def test_an_unknown_one(self, database):
        for call in (service.cancel, service.get, service.delete):
            with pytest.raises(NotFound, match="st_none"):
                call(database, "st_none")


class TestLooking:
    def test_newest_first_page_by_page_and_filtered(self, database, runner):
        jobs = [service.submit(database, request(trials=n)) for n in range(1, 5)]
        ids = [job.id for job in reversed(jobs)]

        def found(limit: int = 10, **filters: str) -> list[str]:
            return [each.id for each in view.page(database, limit=limit, **filters)]

        assert found() == ids
        assert found(limit=2) == ids[:2]
        assert found(limit=2, before=ids[1]) == ids[2:]
        take(database, runner)
        assert found(state="running") == [jobs[0].id]
        assert found(workload="visnet") == []
        with database.read() as session:
            assert repository.counts(session) == {"queued": 3, "running": 1}

    def test_a_job_is_found_by_the_study_that_answers_it(self, database, runner):
        spec = factories.spec()
        study, _ = studies.open_study(database, spec)
        job = service.submit(database, request())
        take(database, runner)
        with database.write() as session:
            queue.opened(session, job.id, "run_1", study.id, 1)
        assert service.get(database, study.id).id == job.id
        assert service.get(database, job.id).study_id == study.id
        assert events.read(database, study.id) == events.read(database, job.id)

    def test_why_it_waits_is_said(self, database):
        job = service.submit(database, request())
        assert "tonnage runner" in waits_for(database, job)
        with database.write() as session:
            runner_repository.add(session, "run_1", this_process(), this_place(), offers("cpu"))
            runner = runner_repository.locked(session, "run_1")
        assert "about to begin" in waits_for(database, job)
        elsewhere = service.submit(database, request(device="cuda:3"))
        assert "No runner has a device cuda:3; there are: cpu" in waits_for(database, elsewhere)
        take(database, runner)
        behind = service.submit(database, request(trials=2))
        assert waits_for(database, behind) == f"Its device is in use by {job.id}."
        assert waits_for(database, service.get(database, job.id)) == ""

    def test_a_running_study_says_what_it_waits_for_until_it_goes_on(self, database, runner):
        job = service.submit(database, request())
        take(database, runner)
        assert view.get(database, job.id).message == ""
        reason = "cpu is in use by process 7 (tonnage tune) since 10:32"
        add_event(database, job.id, "waiting", {"reason": reason, "waited_s": 1.0})
        shown = view.get(database, job.id)
        assert (shown.state, reason in shown.message) == ("running", True)
        add_event(database, job.id, "trial", {"trial": 0, "config": {}})
        assert view.get(database, job.id).message == ""
        add_event(database, job.id, "waiting", {"reason": reason, "waited_s": 1.0})
        end(database, job, as_state="finished")
        assert view.get(database, job.id).message == ""


class TestEvents:
    def test_ids_count_up_by_one_and_reading_goes_on_where_it_stopped(self, database):
        job = service.submit(database, request())
        for number in range(5):
            add_event(database, job.id, "note", {"text": str(number)})
        found = events.read(database, job.id)
        assert [event.id for event in found] == [1, 2, 3, 4, 5, 6]
        assert [event.data.get("text") for event in found[1:]] == list("01234")
        assert events.read(database, job.id, after=4) == found[4:]
        assert events.read(database, job.id, after=1, limit=2) == found[1:3]
        assert events.read(database, job.id, after=6) == []
        assert service.get(database, job.id).last_event == 6

    def test_writers_at_once_leave_no_gap_that_a_reader_could_miss(self, database_url):
        database = open_database(database_url)
        job = service.submit(database, request())
        seen: list[int] = []
        done = threading.Event()

        def write() -> None:
            own = open_database(database_url)
            for _ in range(20):
                add_event(own, job.id, "note", {})
            own.close()

        def read() -> None:
            own, over = open_database(database_url), False
            while not over:
                over = done.is_set()
                after = seen[-1] if seen else 0
                seen.extend(event.id for event in events.read(own, job.id, after))
            own.close()

        writers = [threading.Thread(target=write) for _ in range(4)]
        reader = threading.Thread(target=read)
        for thread in (reader, *writers):
            thread.start()
        for thread in writers:
            thread.join()
        done.set()
        reader.join()
        assert seen == list(range(1, 82))
        database.close()

    def test_values_that_json_does_not_know_come_back(self, database):
        job = service.submit(database, request())
        add_event(database, job.id, "note", {"text": "a\x00b", "value": float("inf")})
        assert events.read(database, job.id, 1)[0].data == {"text": "a\x00b", "value": float("inf")}

    def test_of_a_study_that_no_job_ran(self, database):
        study, _ = studies.open_study(database, factories.spec())
        assert events.read(database, study.id) == []


class TestDeleting:
    def finished(self, database, runner):
        job = service.submit(database, request())
        take(database, runner)
        spec = factories.spec()
        study, _ = studies.open_study(database, spec, new_id=job.id)
        with database.write() as session:
            queue.opened(session, job.id, "run_1", study.id, 1)
        store = SqlStudyStore(database, study.id, spec)
        store.add_measurement(0, factories.measurement(), [])
        store.add_trial(factories.trial())
        studies.finish(database, study.id, factories.recommendation())
        end(database, job, as_state="finished")
        return job

    def test_study_job_events_and_recommendation_go_and_measurements_stay(self, database, runner):
        job = self.finished(database, runner)
        service.delete(database, job.id)
        with pytest.raises(NotFound):
            service.get(database, job.id)
        with pytest.raises(InputError, match="no study"):
            studies.get(database, job.id)
        assert recommendations.latest(database) is None
        assert events.read(database, job.id) == []
        (kept,) = contents.measurements(database)
        assert kept.study_id is None

    def test_a_later_job_that_an_older_study_answered_goes_alone(self, database, runner):
        job = self.finished(database, runner)
        again = service.submit(database, request())
        take(database, runner)
        with database.write() as session:
            queue.opened(session, again.id, "run_1", job.id, 1)
        end(database, again, as_state="finished")
        service.delete(database, again.id)
        assert studies.get(database, job.id).state == "finished"
        assert service.get(database, job.id).id == job.id

    def test_nothing_that_is_active_is_deleted(self, database, runner):
        job = service.submit(database, request())
        with pytest.raises(Conflict, match="Cancel it first"):
            service.delete(database, job.id)
        take(database, runner)
        with pytest.raises(Conflict, match="Cancel it first"):
            service.delete(database, job.id)
        study, _ = studies.open_study(database, factories.spec("prototyping"))
        with pytest.raises(Conflict, match="is being run by process"):
            service.delete(database, study.id)


def test_the_states_are_those_of_the_contract():
    assert set(StudyState) == {
        "queued",
        "running",
        "finished",
        "failed",
        "interrupted",
        "cancelled",
    }
