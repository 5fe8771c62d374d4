"""``/v1/checks``."""

from __future__ import annotations

import pytest

from app.checks import service as checks
from app.recommendations import repository as recommendations
from app.tuning import service as studies
from tests.app import factories
from tests.app.serving import problem


@pytest.fixture
def kept(database):
    study, _ = studies.open_study(database, factories.spec())
    with database.write() as session:
        recommendations.save(session, factories.recommendation(), study.id, "scope")
    return checks.record(
        database,
        verdict="does_not_fit",
        workload="train.py:Net",
        device="cpu",
        fingerprint="f1",
        recommendation_id="rec_1",
        document={"batch_size": 512},
    )


def test_what_was_answered_can_be_read(api, kept):
    found = api.get(f"/v1/checks/{kept.id}").json()
    assert found["verdict"] == "does_not_fit"
    assert found["document"] == {"batch_size": 512}
    assert found["recommendation_id"] == "rec_1"


def test_filters(api, kept):
    for query, count in (
        ({"verdict": "does_not_fit"}, 1),
        ({"verdict": "fits"}, 0),
        ({"workload": kept.workload, "fingerprint": "f1"}, 1),
    ):
        assert len(api.get("/v1/checks", params=query).json()["items"]) == count


def test_a_check_outlives_what_it_was_compared_with(api, database, kept):
    study_id = api.get("/v1/studies").json()["items"][0]["id"]
    studies.stop(database, study_id)
    assert api.delete(f"/v1/studies/{study_id}").status_code == 204
    assert api.get(f"/v1/checks/{kept.id}").json()["recommendation_id"] is None


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"device": "f1"}, "batch_size"),
        ({"batch_size": 0, "device": "f1"}, "batch_size"),
        ({"batch_size": 8, "batchsize": 8, "device": "f1"}, "batchsize"),
    ],
)
def test_a_plan_that_cannot_be_one_is_refused_with_what_is_wrong(api, plan, words):
    answer = api.post("/v1/checks", json=plan)
    assert answer.status_code == 422
    assert words in answer.text
    assert api.get("/v1/checks").json()["items"] == []


@pytest.mark.parametrize(
    ("device", "words"),
    [({"device": "H200"}, "Unknown device 'H200'"), ({}, "name one that has results")],
)
def test_a_device_that_nothing_is_known_of(api, device, words):
    answer = api.post("/v1/checks", json={"batch_size": 8, "workload": "net", **device})
    assert words in problem(answer, 404, "not-found")["detail"]


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"recommendation_id": "rec_none"}, "rec_none is not stored here"),
        ({"workload": "train.py:Net", "config": {"depht": 2}}, "depht"),
    ],
)
def test_a_plan_that_contradicts_what_is_stored(api, kept, plan, words):
    device = api.get("/v1/devices").json()["items"][0]["key"]
    answer = api.post("/v1/checks", json={"batch_size": 8, "device": device, **plan})
    assert words in problem(answer, 409, "plan-refused")["detail"]
    assert len(api.get("/v1/checks").json()["items"]) == 1


def test_an_unknown_check(api):
    problem(api.get("/v1/checks/chk_none"), 404, "not-found")
