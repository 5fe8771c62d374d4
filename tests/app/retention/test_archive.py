"""Results leave one database as JSON lines and arrive in another unchanged, once."""

from __future__ import annotations

import io
import json

import pytest
from sqlalchemy import select

from app.database import open_database
from app.database.models import all_tables
from app.database.models.results import MeasurementRow, StudyRow
from app.database.models.searching import PredictionRow, StudyMeasurementRow
from app.finetunings import reading
from app.finetunings import service as finetunings
from app.knowledge import service as knowledge
from app.measurements import service as measurements
from app.recommendations import service as recommendations
from app.retention.archive import export_results, import_results, new_file
from app.retention.lines import KINDS
from app.studies import view
from app.tuning import service as studies
from app.tuning.store import SqlStudyStore
from probes.errors import InputError
from probes.measurement import Purpose
from tests.app import contents, factories
from tests.app.retention.conftest import finished_study, unfinished_study

ARRIVES = {
    "tonnage_devices",
    "tonnage_workloads",
    "tonnage_studies",
    "tonnage_trials",
    "tonnage_measurements",
    "tonnage_measurement_ranks",
    "tonnage_study_measurements",
    "tonnage_predictions",
    "tonnage_recommendations",
    "tonnage_finetunings",
    "tonnage_finetuning_events",
    "tonnage_evaluation_rows",
    "tonnage_evidence",
}


@pytest.fixture
def other(tmp_path):
    """Another database, of SQLite whatever the first one is."""
    opened = open_database(f"sqlite:///{tmp_path / 'other.db'}")
    yield opened
    opened.close()


def exported(database) -> list[str]:
    output = io.StringIO()
    export_results(database, output)
    return output.getvalue().splitlines(keepends=True)


def content(lines: list[str]) -> list[str]:
    """All but the header, which has the time in it."""
    return lines[1:]


class TestRoundTrip:
    def test_what_arrives_is_exported_again_the_same(self, database, filled, other):
        lines = exported(database)
        found = import_results(other, lines, "file")
        assert set(found.added) == set(KINDS)
        assert found.known == {}
        assert content(exported(other)) == content(lines)

    def test_a_second_import_adds_nothing(self, database, filled, other):
        lines = exported(database)
        first = import_results(other, lines, "file")
        second = import_results(other, lines, "file")
        assert (second.added, second.known) == ({}, first.added)
        assert content(exported(other)) == content(lines)
        assert import_results(database, lines, "file").added == {}

    def test_every_table_of_results_is_filled(self, database, filled, other):
        import_results(other, exported(database), "file")
        with database.read() as here, other.read() as there:
            for name in ARRIVES:
                table = all_tables().tables[name]
                count = len(here.execute(select(table)).all())
                assert count > 0
                assert len(there.execute(select(table)).all()) == count, name

    def test_the_results_are_used_there_as_if_measured_there(self, database, filled, other):
        import_results(other, exported(database), "file")
        study, opening = studies.open_study(other, factories.spec())
        assert (study.id, opening) == (filled["finished"], "finished")
        assert recommendations.of_study(other, study.id) == recommendations.of_study(
            database, study.id
        )
        found = measurements.find(
            other, factories.scope(), factories.measurement().config, 64, Purpose.CONFIRM
        )
        assert found == factories.measurement(64)
        resumed, opening = studies.open_study(other, factories.spec("prototyping"))
        assert (resumed.id, opening) == (filled["unfinished"], "resumed")
        store = SqlStudyStore(other, resumed.id, factories.spec("prototyping"))
        assert store.trials() == [factories.trial()]
        assert len(store.measurements()) == 1

    def test_infinities_arrive(self, database, filled, other):
        import_results(other, exported(database), "file")
        with other.read() as session:
            (row,) = session.execute(select(PredictionRow)).scalars()
            assert (row.low, row.high, row.measured) == (float("-inf"), 2.0, 5 * 2**30)

    def test_a_study_that_is_running_arrives_as_interrupted(self, database, other):
        study, _ = studies.open_study(database, factories.spec())
        import_results(other, exported(database), "file")
        arrived = studies.get(other, study.id)
        assert (arrived.state, arrived.owner) == ("interrupted", None)
        assert studies.get(database, study.id).state == "running"

    @pytest.mark.parametrize(
        "add", [factories.finetuning, lambda d: knowledge.record(d, factories.evidence())]
    )
    def test_an_export_without_later_kinds_is_one_that_earlier_releases_read(self, database, add):
        finished_study(database)
        assert json.loads(exported(database)[0])["header"]["version"] == 1
        add(database)
        assert json.loads(exported(database)[0])["header"]["version"] == 2

    def test_a_fine_tuning_that_is_running_arrives_as_interrupted(self, database, other):
        run = factories.finetuning(database)
        import_results(other, exported(database), "file")
        assert reading.get(other, run.id).state == "interrupted"
        finetunings.finish(database, run.id, "done", {"step": 9})
        import_results(other, exported(database), "file")
        assert (reading.get(other, run.id).state, reading.get(other, run.id).step) == (
            "done",
            9,
        )


class TestMeeting:
    def test_the_same_question_asked_in_both_keeps_both_answers(self, database, other):
        here, there = finished_study(database), finished_study(other)
        import_results(other, exported(database), "file")
        found = [studies.get(other, each.id) for each in view.page(other, limit=10)]
        generations = {each.id: each.generation for each in found}
        assert generations == {there: 1, here: 2}

    def test_a_study_that_went_on_elsewhere_comes_back_further(self, database, other):
        study_id = unfinished_study(database)
        import_results(other, exported(database), "file")
        spec = factories.spec("prototyping")
        studies.open_study(other, spec)
        SqlStudyStore(other, study_id, spec).add_trial(factories.trial(1))
        studies.finish(other, study_id, factories.recommendation(budget="prototyping"), wall_s=9)
        import_results(database, exported(other), "file")
        back = studies.get(database, study_id)
        assert (back.state, back.wall_s) == ("finished", 9)
        assert len(SqlStudyStore(database, study_id, spec).trials()) == 2
        assert studies.open_study(database, spec)[1] == "finished"

    def test_a_file_that_was_cut_off_at_the_end_of_a_line_is_told(self, database, other):
        finished_study(database)
        whole = exported(database)
        with pytest.raises(InputError, match="cut off"):
            import_results(other, whole[:-1], "file")
        assert import_results(other, whole, "file").added == {"recommendation": 1}

    def test_an_export_of_an_earlier_release_does_not_say_how_long_it_is(self, database, other):
        finished_study(database)
        header, *lines = exported(database)
        made = json.loads(header)
        del made["header"]["lines"]
        assert import_results(other, [json.dumps(made), *lines[:-1]], "file").added

    def test_an_older_export_takes_nothing_back(self, database, other):
        study_id = unfinished_study(database)
        old = exported(database)
        studies.open_study(database, factories.spec("prototyping"))
        studies.finish(database, study_id, factories.recommendation(budget="prototyping"))
        import_results(database, old, "file")
        assert studies.get(database, study_id).state == "finished"

    def test_one_that_runs_here_is_left_to_its_process(self, database, other):
        study_id = unfinished_study(database)
        import_results(other, exported(database), "file")
        studies.open_study(other, factories.spec("prototyping"))
        studies.finish(other, study_id, None, message="Nothing fits.")
        running, _ = studies.open_study(database, factories.spec("prototyping"))
        with other.write() as session:
            session.get_one(StudyRow, study_id).updated_at = running.updated_at.replace(year=2100)
        import_results(database, exported(other), "file")
        assert studies.get(database, study_id).state == "running"


class TestRefusing:
    def header(self, **changes) -> str:
        made = {
            "format": "tonnage-results",
            "version": 1,
            "tonnage": "9.9",
            "made_at": "2026-01-02T03:04:05+00:00",
        }
        return json.dumps({"header": {**made, **changes}})

    @pytest.mark.parametrize(
        "line", ["", "{}", "[1]", "no json", '{"header": {}}', '{"header": 1}']
    )
    def test_what_is_no_export(self, database, line):
        with pytest.raises(InputError, match=r"results\.jsonl.*header"):
            import_results(database, [line], "results.jsonl")
        with pytest.raises(InputError, match=r"results\.jsonl.*header"):
            import_results(database, [], "results.jsonl")

    def test_one_of_a_newer_tonnage(self, database):
        with pytest.raises(InputError, match=r"newer Tonnage \(9\.9.*version 3.*up to version 2"):
            import_results(database, [self.header(version=3)], "file")

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("{", "line 3"),
            ("[]", "not an object"),
            ('{"device": {}, "study": {}}', "one key"),
            ('{"job": {}}', "'job'"),
            ('{"device": {"key": 5}}', "key"),
            ('{"trial": ' * 3000, "line 3"),
        ],
    )
    def test_a_broken_line_is_named_and_what_is_before_it_kept(
        self, database, filled, other, line, said
    ):
        device = next(text for text in exported(database) if text.startswith('{"device"'))
        with pytest.raises(InputError, match=r"line 3.*skipped") as caught:
            import_results(other, [self.header(), device, line], "file")
        assert said in str(caught.value)
        assert len([1 for text in exported(other) if text.startswith('{"device"')]) == 1

    def test_a_line_that_refers_to_nothing(self, database, filled, other):
        trial = next(text for text in exported(database) if text.startswith('{"trial"'))
        with pytest.raises(InputError, match=r"line 2.*no earlier line"):
            import_results(other, [self.header(), trial], "file")
        study = next(text for text in exported(database) if text.startswith('{"study"'))
        with pytest.raises(InputError, match=r"line 2.*no earlier line"):
            import_results(other, [self.header(), study], "file")

    def test_more_lines_than_fit_in_one_transaction(self, database, other):
        scope = factories.scope()
        for batch in range(1, 250):
            measurements.record(database, scope, factories.measurement(batch))
        found = import_results(other, exported(database), "file")
        assert found.added == {"measurement": 249}
        with other.read() as session:
            assert session.query(MeasurementRow).count() == 249
            assert session.query(StudyMeasurementRow).count() == 0


class TestFile:
    def test_it_is_complete_or_not_there(self, tmp_path):
        path = tmp_path / "results.jsonl"
        path.write_text("before")
        with pytest.raises(RuntimeError), new_file(path) as file:
            file.write("half")
            raise RuntimeError("power cut")
        assert path.read_text() == "before"
        with new_file(path) as file:
            file.write("whole")
        assert path.read_text() == "whole"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(InputError, match="cannot be written"), new_file(tmp_path / "a" / "b"):
            pass

    def test_an_export_is_of_one_moment(self, database, filled):
        """Even when something is deleted in the middle of it."""
        from app.retention import archive_repository as repository

        with database.snapshot() as session:
            lines = repository.everything(session)
            kinds = [next(lines)[0]]
            with database.write() as writing:
                writing.query(MeasurementRow).delete()
            kinds += [kind for kind, _ in lines]
        assert kinds.count("measurement") == 5
        assert contents.measurements(database) == []
