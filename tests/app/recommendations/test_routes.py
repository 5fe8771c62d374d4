"""``/v1/recommendations``."""

from __future__ import annotations

import json
import tomllib

import pytest

from app.database.models.results import RecommendationRow
from app.recommendations.exports.export import FORMATS, export
from app.recommendations.schemas import CycleTime
from app.tuning import service as studies
from tests.app import factories
from tests.app.dashboard.results import MOST_CAPABLE, windowed
from tests.app.serving import problem


@pytest.fixture
def recommended(database):
    study, _ = studies.open_study(database, factories.spec())
    made = factories.recommendation()
    studies.finish(database, study.id, made)
    return made


def test_one_is_the_document_of_tune(api, recommended):
    answer = api.get(f"/v1/recommendations/{recommended.id}")
    assert answer.json() == json.loads(json.dumps(recommended.to_dict()))


def test_the_most_capable_model_and_the_shares_are_part_of_it(api, database):
    study, _ = studies.open_study(database, factories.spec())
    made = windowed(id=study.id.replace("st_", "rec_", 1))
    studies.finish(database, study.id, made)
    answer = api.get(f"/v1/recommendations/{made.id}").json()
    assert (answer["share_of_window"], answer["share_of_memory"]) == (0.02, 0.41)
    assert answer["most_capable"]["config"] == MOST_CAPABLE["config"]
    assert answer["most_capable"]["batch_size"] == 64


def test_an_unknown_one(api):
    problem(api.get("/v1/recommendations/rec_none"), 404, "not-found")


def test_only_a_whole_id_is_an_id(api, recommended):
    problem(api.get(f"/v1/recommendations/{recommended.id[:-1]}"), 404, "not-found")


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"workload": "train.py:Net"}, 1),
        ({"workload": "other"}, 0),
        ({"budget": "smoke_test", "device": "cpu"}, 1),
        ({"fingerprint": "f" * 16}, 1),
        ({"fingerprint": "0" * 16}, 0),
        ({"study_id": "st_none"}, 0),
    ],
)
@pytest.mark.usefixtures("recommended")
def test_filters(api, query, count):
    assert len(api.get("/v1/recommendations", params=query).json()["items"]) == count


@pytest.mark.parametrize("to", FORMATS)
def test_every_export_is_text(api, recommended, to):
    answer = api.get(f"/v1/recommendations/{recommended.id}/exports/{to}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text == export(recommended, to).text


def test_an_export_can_be_read_back(api, recommended):
    toml = api.get(f"/v1/recommendations/{recommended.id}/exports/toml").text
    assert tomllib.loads(toml)["batch_size"] == recommended.batch_size


def test_an_unknown_format_is_told_the_known_ones(api, recommended):
    answer = api.get(f"/v1/recommendations/{recommended.id}/exports/xml")
    document = problem(answer, 422, "invalid-request")
    assert all(f"'{name}'" in document["detail"] for name in FORMATS)


def test_the_exports_are_listed_with_what_they_cannot_express(api, recommended):
    listed = api.get(f"/v1/recommendations/{recommended.id}/exports").json()
    assert [each["format"] for each in listed] == list(FORMATS)
    assert all(each["impossible"] is None for each in listed)
    (accelerate,) = [each for each in listed if each["format"] == "accelerate"]
    assert "give it to your DataLoader" in accelerate["unsaid"][0]


class TestLookup:
    query = {"workload": "train.py:Net", "budget": "smoke_test"}

    def test_exact_by_fingerprint(self, api, recommended):
        query = {**self.query, "fingerprint": "f" * 16}
        found = api.get("/v1/recommendations/lookup", params=query).json()
        assert found["match"] == "exact"
        assert found["recommendation"]["id"] == recommended.id
        assert found["prior"] is None

    @pytest.mark.usefixtures("recommended")
    def test_a_prior_is_not_where_a_recommendation_would_be(self, api):
        query = {**self.query, "fingerprint": "0" * 16, "kind": "cpu"}
        found = api.get("/v1/recommendations/lookup", params=query).json()
        assert found["match"] == "prior"
        assert found["recommendation"] is None
        assert found["prior"]["measured_as"]["batch_size"] == 96
        assert found["prior"]["differences"]

    @pytest.mark.usefixtures("recommended")
    def test_nothing_comparable_says_what_to_run(self, api):
        query = {**self.query, "kind": "cuda"}
        answer = api.get("/v1/recommendations/lookup", params=query)
        document = problem(answer, 404, "no-recommendation")
        assert "tonnage tune train.py:Net --budget smoke_test" in document["detail"]

    @pytest.mark.usefixtures("recommended")
    @pytest.mark.parametrize(
        ("wrong", "near"),
        [({"workload": "transfomer"}, "transformer"), ({"budget": "smok_test"}, "smoke_test")],
    )
    def test_a_name_that_nobody_knows_is_told_and_not_to_be_run(self, api, wrong, near):
        query = {**self.query, "kind": "cuda", **wrong}
        answer = api.get("/v1/recommendations/lookup", params=query)
        document = problem(answer, 404, "no-recommendation")
        assert f"Did you mean '{near}'?" in document["detail"]
        assert "tonnage tune" not in document["detail"]

    @pytest.mark.usefixtures("recommended")
    def test_for_no_device_in_particular_there_are_only_priors(self, api):
        found = api.get("/v1/recommendations/lookup", params=self.query).json()
        assert found["match"] == "prior"
        assert "none in particular" in found["prior"]["differences"][0]


def test_the_cycle_time_of_an_earlier_release_has_its_mean(api, database, recommended):
    with database.write() as session:
        row = session.get_one(RecommendationRow, recommended.id)
        row.document = {**row.document, "cycle_time_s": {"median": 7.0, "low": 6.0, "high": 8.0}}
    expected = {"mean": 7.0, "low": 6.0, "high": 8.0, "median": 7.0}
    one = api.get(f"/v1/recommendations/{recommended.id}").json()
    (listed,) = api.get("/v1/recommendations").json()["items"]
    assert one["cycle_time_s"] == listed["cycle_time_s"] == expected


def test_the_old_name_of_the_mean_is_marked_as_deprecated(api):
    schemas = api.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["CycleTime"]["properties"]["median"]["deprecated"] is True
    assert "deprecated" not in schemas["CycleTime"]["properties"]["mean"]


def test_a_client_reads_what_an_older_service_sends():
    assert CycleTime.model_validate({"median": 7.0, "low": 6.0, "high": 8.0}).mean == 7.0


@pytest.mark.parametrize("listing", ["/v1/recommendations", "/v1/studies"])
def test_a_budget_that_does_not_exist_is_no_empty_list(api, recommended, listing):
    found = problem(api.get(listing, params={"budget": "prototypin"}), 404, "not-found")
    assert "prototyping" in found["detail"]
    assert api.get(listing, params={"budget": "production"}).json()["items"] == []
