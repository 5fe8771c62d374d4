from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from app.clock import utc_now
from app.database import open_database
from app.database.models.results import RecommendationRow, StudyRow
from app.recommendations import service as recommendations
from app.studies import view
from app.tuning import service
from app.tuning.owner import SILENT_AFTER, this_process
from app.tuning.state import StudyState
from app.tuning.store import SqlStudyStore
from probes.errors import InputError
from tests.app import contents, factories

ROOT = Path(__file__).parents[3]

RUN_UNTIL_KILLED = """
import sys
from app.database import open_database
from app.tuning import service
from app.tuning.store import SqlStudyStore
from tests.app import contents, factories

database = open_database(sys.argv[1])
spec = factories.spec()
study, opening = service.open_study(database, spec)
SqlStudyStore(database, study.id, spec).add_trial(factories.trial())
print(study.id, opening, flush=True)
sys.stdin.readline()
"""


def elsewhere(url: str) -> subprocess.Popen[str]:
    """Another process that runs the study until it is killed."""
    return subprocess.Popen(
        [sys.executable, "-c", RUN_UNTIL_KILLED, url],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


class TestOpening:
    def test_a_new_question_begins_a_study(self, database):
        study, opening = service.open_study(database, factories.spec())
        assert opening == "new"
        assert study.id.startswith("st_")
        assert (study.state, study.generation, study.fresh) == ("running", 1, False)
        assert (study.workload, study.budget, study.device) == (
            "train.py:Net",
            "smoke_test",
            "cpu",
        )
        assert study.spec == factories.spec().to_dict()
        assert study.owner == this_process()

    def test_another_question_begins_another(self, database):
        first, _ = service.open_study(database, factories.spec())
        second, opening = service.open_study(database, factories.spec("prototyping"))
        third, _ = service.open_study(database, factories.spec(limit_bytes=1))
        assert opening == "new"
        assert len({first.id, second.id, third.id}) == 3

    @pytest.mark.parametrize("state", [StudyState.INTERRUPTED, StudyState.FAILED])
    def test_an_unfinished_study_is_resumed(self, database, state):
        study, _ = service.open_study(database, factories.spec())
        service.stop(database, study.id, state, wall_s=2.5)
        ended = service.get(database, study.id)
        assert ended.state == state
        assert ended.message
        assert ended.owner is None

        again, opening = service.open_study(database, factories.spec())
        assert (again.id, opening, again.state) == (study.id, "resumed", "running")
        assert (again.wall_s, again.message) == (2.5, "")

    def test_a_finished_study_answers(self, database):
        study, _ = service.open_study(database, factories.spec())
        service.finish(database, study.id, factories.recommendation(), wall_s=60)
        again, opening = service.open_study(database, factories.spec())
        assert (again.id, opening, again.state) == (study.id, "finished", "finished")
        assert again.finished_at is not None
        assert again.wall_s == 60
        assert recommendations.of_study(database, study.id) == factories.recommendation()

    @pytest.mark.parametrize(
        ("accept_disturbed", "opening"), [(True, "finished"), (False, "resumed")]
    )
    def test_a_disturbed_answer_is_one_only_where_it_is_accepted(
        self, database, accept_disturbed, opening
    ):
        study, _ = service.open_study(database, factories.spec())
        run = factories.measurement(96, tainted=["other processes used 1.2 of 2 cores"])
        evidence = {"highest_passing": run.to_dict(), "lowest_failing": None}
        service.finish(database, study.id, factories.recommendation(evidence=evidence))
        again = service.open_study(database, factories.spec(), accept_disturbed=accept_disturbed)
        assert (again[0].id, again[1]) == (study.id, opening)

    def test_a_finished_study_without_its_recommendation_is_resumed(self, database):
        study, _ = service.open_study(database, factories.spec())
        service.finish(database, study.id, factories.recommendation())
        with database.write() as session:
            session.query(RecommendationRow).delete()
        assert service.open_study(database, factories.spec())[1] == "resumed"

    def test_a_study_that_found_nothing_keeps_why_and_is_resumed(self, database):
        study, _ = service.open_study(database, factories.spec())
        service.finish(database, study.id, None, message="Nothing fits: 1.2 GiB short.")
        assert service.get(database, study.id).message == "Nothing fits: 1.2 GiB short."
        again, opening = service.open_study(database, factories.spec())
        assert (again.id, opening) == (study.id, "resumed")

    def test_fresh_begins_the_next_generation(self, database):
        old, _ = service.open_study(database, factories.spec())
        service.finish(database, old.id, factories.recommendation())
        new, opening = service.open_study(database, factories.spec(), fresh=True)
        assert (opening, new.generation, new.fresh) == ("new", 2, True)
        service.stop(database, new.id)
        again, opening = service.open_study(database, factories.spec())
        assert (again.id, opening) == (new.id, "resumed")

    def test_a_finish_that_fails_stores_neither_state_nor_recommendation(
        self, database, monkeypatch
    ):
        study, _ = service.open_study(database, factories.spec())

        def broken(*_: object) -> None:
            raise RuntimeError("power cut")

        monkeypatch.setattr(service.repository, "close", broken)
        with pytest.raises(RuntimeError):
            service.finish(database, study.id, factories.recommendation())
        assert recommendations.latest(database) is None

    def test_an_unknown_study(self, database):
        with pytest.raises(InputError, match="no study st_none"):
            service.get(database, "st_none")


class TestOneProcessAtATime:
    def test_a_study_that_runs_elsewhere_is_refused_until_that_process_ends(self, database_url):
        other = elsewhere(database_url)
        assert other.stdout is not None
        study_id = other.stdout.readline().split()[0]
        database = open_database(database_url)
        for fresh in (False, True):
            with pytest.raises(InputError, match=f"is being run by process {other.pid}"):
                service.open_study(database, factories.spec(), fresh)

        other.kill()
        other.communicate(timeout=30)
        study, opening = service.open_study(database, factories.spec())
        assert (study.id, opening) == (study_id, "resumed")
        store = SqlStudyStore(database, study.id, factories.spec())
        assert store.trials() == [factories.trial()]
        database.close()

    def test_this_process_does_not_run_a_study_twice(self, database):
        service.open_study(database, factories.spec())
        with pytest.raises(InputError, match="is being run by process"):
            service.open_study(database, factories.spec())

    def test_a_later_process_with_the_same_number_is_another_one(self, database):
        study, _ = service.open_study(database, factories.spec())
        with database.write() as session:
            session.get_one(StudyRow, study.id).owner_started_s = 1000.0
        assert service.open_study(database, factories.spec())[1] == "resumed"

    def test_fresh_closes_what_a_dead_process_left(self, database):
        old, _ = service.open_study(database, factories.spec())
        with database.write() as session:
            session.get_one(StudyRow, old.id).owner_started_s = 1000.0
        service.open_study(database, factories.spec(), fresh=True)
        assert service.get(database, old.id).state == "interrupted"

    def test_another_host_keeps_its_study_until_it_has_been_silent_for_long(self, database):
        study, _ = service.open_study(database, factories.spec())
        with database.write() as session:
            row = session.get_one(StudyRow, study.id)
            row.owner_host, row.owner_pid = "other-host", 4711
        with pytest.raises(InputError, match="process 4711 on other-host"):
            service.open_study(database, factories.spec())
        with database.write() as session:
            row = session.get_one(StudyRow, study.id)
            row.updated_at = utc_now() - SILENT_AFTER - timedelta(minutes=1)
        assert service.open_study(database, factories.spec())[1] == "resumed"

    def test_two_processes_asking_at_once_get_one_study(self, database_url):
        open_database(database_url).close()
        both = [elsewhere(database_url) for _ in range(2)]
        lines = [process.stdout.readline() for process in both if process.stdout]
        for process in both:
            process.kill()
            process.communicate(timeout=30)
        assert sorted(bool(line) for line in lines) == [False, True]
        database = open_database(database_url)
        assert len(view.page(database, limit=10)) == 1
        database.close()


class TestListing:
    def test_newest_first_and_filtered(self, database):
        first, _ = service.open_study(database, factories.spec())
        second, _ = service.open_study(database, factories.spec("prototyping"))
        third, _ = service.open_study(database, factories.spec(workload="other"))
        service.stop(database, second.id)

        def ids(**filters: str) -> list[str]:
            return [study.id for study in view.page(database, **filters, limit=10)]

        assert ids() == [third.id, second.id, first.id]
        assert ids(budget="prototyping") == [second.id]
        assert ids(workload="other") == [third.id]
        assert ids(state="running") == [third.id, first.id]

    def test_a_study_registers_its_workload_and_device(self, database):
        service.open_study(database, factories.spec())
        service.open_study(database, factories.spec("prototyping"))
        (workload,), (device,) = contents.workloads(database), contents.devices(database)
        assert (workload.reference, workload.source_hash) == ("train.py:Net", "abc123")
        assert workload.dataset_size == 1000
        assert (device.key, device.kind) == ("f" * 16, "cpu")
