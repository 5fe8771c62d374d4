from __future__ import annotations

import pytest

from app.dashboard.views.recommendation import build, exports, view
from app.database import Database
from app.measurements.repository import MeasurementRecord
from app.recommendations.exports.export import FORMATS
from app.validity.comparison import Validity
from optimizer.records import Grade
from probes.measurement import Purpose, Verdict
from tests.app.dashboard.results import CONFIG, OTHER, document, store
from tests.app.factories import GIB, measurement, recommendation
from tests.app.one_kind import kind  # noqa: F401


def record(number: int, run) -> MeasurementRecord:
    return MeasurementRecord(number, run)


class TestBuild:
    def test_every_chart_has_what_it_needs(self):
        records = [
            record(1, measurement(8, purpose=Purpose.BRACKET, config=CONFIG, peak_bytes=GIB // 4)),
            record(2, measurement(96, config=CONFIG, peak_bytes=GIB)),
            record(3, measurement(64, config=OTHER)),
        ]
        made = build(
            document(), records, [Grade("peak_bytes", 1.0, 0.9, 1.1, 1.0)], Validity(), "H"
        )
        assert [figure.name for figure in made.figures] == [
            "memory",
            "step-time",
            "stability-memory",
            "stability-pace",
            "prediction-peak-bytes",
            "capacity",
        ]
        assert {point.x for s in made.memory.series if s.listed for point in s.points} == {8, 96}

    def test_an_alternative_leads_to_its_confirmation(self):
        records = [
            record(7, measurement(64, purpose=Purpose.BRACKET, config=OTHER)),
            record(8, measurement(64, config=OTHER)),
            record(9, measurement(80, config=OTHER, verdict=Verdict.OOM)),
        ]
        (alternative,) = build(document(), records, [], Validity(), "H").alternatives
        assert alternative.measurement_id == 8

    def test_a_document_alone_is_enough(self):
        made = build(document(), [], [], Validity(), "H")
        assert not made.memory.is_empty
        assert made.alternatives[0].measurement_id is None
        assert (made.run.batch_size, made.failing.batch_size) == (96, 99)

    def test_one_without_evidence_has_no_charts_and_still_its_words(self):
        bare = recommendation(evidence={}, study={"id": "st_1"})
        made = build(bare, [], [], Validity(), "H")
        assert made.figures == []
        assert made.sentence == "It is the fastest."

    def test_the_window_is_drawn_from_the_budget_of_the_study(self):
        budget = {
            "name": "prototyping",
            "target_s": 45.0,
            "flexibility_s": 9.0,
            "trials": 4,
            "cycle_batches": 450,
            "throughput_loss": 0.15,
            "objective": "throughput",
        }
        study = {"id": "st_1", "budget": budget}
        made = build(document(study=study), [], [], Validity(), "H")
        assert [rule.at for rule in made.step_time.rules] == pytest.approx([120.0])
        assert [zone.role for zone in made.capacity.zones] == ["window"]


class TestExports:
    def test_every_format_there_is(self):
        assert [each.name for each in exports(document())] == list(FORMATS)

    def test_what_a_format_cannot_express_is_said_beside_it(self):
        found = {each.name: each for each in exports(document(config={"compile": True}))}
        assert found["deepspeed"].reader == "DeepSpeed's JSON"
        assert any("engine.compile()" in sentence for sentence in found["deepspeed"].unsaid)
        assert found["json"].unsaid == []

    def test_one_that_cannot_carry_it_says_so(self):
        found = exports(recommendation(config={"text": "two\nlines"}))
        env = next(each for each in found if each.name == "env")
        assert env.text == "" and "one line per variable" in env.problem


def test_it_is_read_from_the_store(database: Database):
    made = view(database, store(database))
    assert {p.x for s in made.memory.series if s.listed for p in s.points} == {8, 96, 99}
    assert made.standing.is_valid
    assert [figure.name for figure in made.predictions] == ["prediction-peak-bytes"]
    assert made.alternatives[0].measurement_id is not None
