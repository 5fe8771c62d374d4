"""``/v1/measurements``."""

from __future__ import annotations

from dataclasses import fields

import pytest

from app.measurements import service as measurements
from app.measurements.incoming import EnergyIn, GrowthIn, MeasurementIn, RankIn, StepTimeIn, TraceIn
from optimizer.records import Scope
from probes.measurement import (
    Energy,
    Growth,
    Measurement,
    Purpose,
    RankResult,
    StepTime,
    Trace,
    Verdict,
)
from tests.app import factories
from tests.app.serving import problem


def body(**changes) -> dict:
    measurement = factories.measurement().to_dict() | changes
    scope = {"workload_hash": "a1", "fingerprint": "f1", "environment": {"threads": "8"}}
    return {"scope": scope, "measurement": measurement}


@pytest.mark.parametrize(
    ("schema", "record"),
    [
        (MeasurementIn, Measurement),
        (StepTimeIn, StepTime),
        (GrowthIn, Growth),
        (TraceIn, Trace),
        (RankIn, RankResult),
    ],
)
def test_the_schema_has_the_fields_of_the_record(schema, record):
    assert set(schema.model_fields) == {each.name for each in fields(record)}


def test_the_schema_of_energy_has_the_fields_of_its_document():
    assert set(EnergyIn.model_fields) == set(factories.energy().to_dict())
    assert {each.name for each in fields(Energy)} < set(EnergyIn.model_fields)


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_can_be_sent_and_is_shown(api, verdict):
    sent = api.post("/v1/measurements", json=body(verdict=str(verdict)))
    assert sent.status_code == 201, sent.text
    (found,) = api.get("/v1/measurements", params={"verdict": str(verdict)}).json()["items"]
    assert found["verdict"] == str(verdict)


def test_what_was_sent_is_found_and_complete(api):
    sent = factories.measurement(tainted=["hot"], notes=["n"], state={"a": [{"b": None}]})
    post = body() | {"measurement": sent.to_dict()}
    answer = api.post("/v1/measurements", json=post)
    assert answer.status_code == 201, answer.text
    found = api.get(answer.headers["location"]).json()
    assert Measurement.from_dict(found["measurement"]) == sent
    assert (found["workload"], found["fingerprint"], found["tainted"]) == (
        "train.py:Net",
        "f1",
        True,
    )


def test_a_study_of_the_same_scope_reuses_it(api, database):
    api.post("/v1/measurements", json=body())
    sent = factories.measurement()
    scope = Scope(
        workload=sent.workload,
        workload_hash="a1",
        fingerprint="f1",
        device=sent.device,
        limit_bytes=sent.limit_bytes,
        headroom=sent.headroom,
        environment={"threads": "8"},
    )
    found = measurements.find(database, scope, sent.config, sent.batch_size, Purpose.CONFIRM)
    assert found == sent


def test_its_device_is_known_from_then_on(api):
    api.post("/v1/measurements", json=body())
    assert api.get("/v1/devices/f1").status_code == 200


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2**53}, "batch_size"),
        ({"batch_size": "8"}, "batch_size"),
        ({"accumulation": 2**21}, "accumulation"),
        ({"batch_size": True}, "batch_size"),
        ({"verdict": "fine"}, "verdict"),
        ({"workload": "a\x00b"}, "workload"),
        ({"workload": ""}, "workload"),
        ({"peak_bytes": -1}, "peak_bytes"),
        ({"headroom": 0.9}, "headroom"),
        ({"reason": "x" * 20_001}, "reason"),
        ({"colour": "red"}, "colour"),
        ({"state": {"a": "\ud800"}}, "state"),
    ],
)
def test_what_could_not_be_stored_or_meant_is_refused(api, changes, field):
    answer = api.post("/v1/measurements", content=dumps(body(**changes)), headers=JSON)
    document = problem(answer, 422, "invalid-request")
    assert f"body.measurement.{field}" in {each["field"] for each in document["errors"]}
    assert api.get("/v1/measurements").json()["items"] == []


def test_the_largest_batches_have_a_product_that_can_be_stored(api):
    largest = body(batch_size=2**32, accumulation=2**20)
    assert api.post("/v1/measurements", json=largest).status_code == 201
    (found,) = api.get("/v1/measurements").json()["items"]
    assert found["global_batch_size"] == 2**52


JSON = {"Content-Type": "application/json"}


def dumps(document: dict) -> bytes:
    import json

    return json.dumps(document).encode()  # httpx would refuse half a surrogate pair itself


def test_a_whole_number_may_be_written_as_programs_write_it(api):
    assert api.post("/v1/measurements", json=body(batch_size=8.0)).status_code == 201
    problem(api.post("/v1/measurements", json=body(batch_size=8.5)), 422, "invalid-request")


def test_nan_is_not_json(api):
    content = dumps(body()).replace(b'"last_loss": null', b'"last_loss": NaN')
    answer = api.post("/v1/measurements", content=content, headers=JSON)
    problem(answer, 400, "malformed-body")


def test_filters(api, database):
    for number, verdict in enumerate((Verdict.STABLE, Verdict.OOM)):
        made = factories.measurement(number + 1, verdict, workload=f"w{number}")
        scope = factories.scope(fingerprint=f"f{number}")
        measurements.record(database, scope, made)
    for query in ({"workload": "w1"}, {"fingerprint": "f1"}, {"verdict": "oom"}):
        found = api.get("/v1/measurements", params=query).json()["items"]
        assert [each["batch_size"] for each in found] == [2], query
    assert api.get("/v1/measurements", params={"study_id": "st_1"}).json()["items"] == []


def test_an_unknown_measurement(api):
    problem(api.get("/v1/measurements/4711"), 404, "not-found")
    problem(api.get(f"/v1/measurements/{2**53}"), 422, "invalid-request")


class TestRanks:
    def test_what_each_rank_contributed_is_found(self, api):
        gang = factories.gang_measurement(accumulation=3)
        stored = api.post("/v1/measurements", json=body() | {"measurement": gang.to_dict()})
        found = api.get(stored.headers["location"]).json()

        assert [each["limit_bytes"] for each in found["ranks"]] == [8 * 2**30, 6 * 2**30]
        assert found["ranks"][0]["verdict"] == "stable"
        assert (found["device"], found["batch_size"]) == ("cpu:0-1", 8)
        assert (found["data_parallel"], found["limiting_rank"]) == (2, 1)
        assert (found["communication_share"], found["global_batch_size"]) == (0.25, 48)
        assert Measurement.from_dict(found["measurement"]) == gang
        assert api.get("/v1/measurements").json()["items"][0]["ranks"] == found["ranks"]

    def test_a_rank_that_was_ended_because_of_another_has_no_verdict(self, api):
        gang = factories.broken_gang()
        stored = api.post("/v1/measurements", json=body() | {"measurement": gang.to_dict()})
        found = api.get(stored.headers["location"]).json()
        assert [each["verdict"] for each in found["ranks"]] == ["oom", None]
        assert Measurement.from_dict(found["measurement"]) == gang

    def test_ranks_are_numbered_by_their_place_and_there_are_no_others(self, api):
        gang = factories.gang_measurement(limiting_rank=2, data_parallel=3).to_dict()
        gang["ranks"][0]["rank"] = 1
        stored = api.post("/v1/measurements", json=body() | {"measurement": gang})
        found = api.get(stored.headers["location"]).json()
        assert [each["rank"] for each in found["ranks"]] == [0, 1]
        assert (found["limiting_rank"], found["data_parallel"]) == (None, 2)

    def test_a_single_device_has_none(self, api):
        api.post("/v1/measurements", json=body())
        (found,) = api.get("/v1/measurements").json()["items"]
        assert (found["ranks"], found["limiting_rank"], found["data_parallel"]) == ([], None, 1)
        assert found["global_batch_size"] == 8


class TestEnergy:
    def test_a_measurement_shows_what_a_sensor_told(self, api):
        sent = factories.measurement(
            energy=factories.energy(240.0),
            host_energy_unavailable="RAPL counters cannot be read by this user.",
        )
        stored = api.post("/v1/measurements", json=body() | {"measurement": sent.to_dict()})
        assert stored.status_code == 201, stored.text
        found = api.get(stored.headers["location"]).json()

        assert (found["energy_j"], found["energy_per_sample_j"]) == (240.0, 1.25)
        assert (found["energy_source"], found["energy_unavailable"]) == ("NVML counter", "")
        assert found["host_energy_j"] is None
        assert found["measurement"]["energy"]["energy_per_step_j"] == 10.0
        assert found["measurement"]["energy"]["energy_above_idle_j"] == 240.0 - 20.0 * 2.4
        assert Measurement.from_dict(found["measurement"]) == sent

    @pytest.mark.parametrize("name", ["energy_j", "window_s", "steps", "samples"])
    def test_nothing_is_no_energy(self, api, name):
        sent = factories.measurement(energy=factories.energy()).to_dict()
        sent["energy"][name] = 0
        assert problem(
            api.post("/v1/measurements", json=body() | {"measurement": sent}),
            422,
            "invalid-request",
        )

    def test_a_measurement_without_a_sensor_keeps_the_reason(self, api):
        sent = factories.measurement(energy_unavailable="This machine has no RAPL counters.")
        api.post("/v1/measurements", json=body() | {"measurement": sent.to_dict()})
        (found,) = api.get("/v1/measurements").json()["items"]

        assert found["energy_j"] is None
        assert found["energy_unavailable"] == "This machine has no RAPL counters."
