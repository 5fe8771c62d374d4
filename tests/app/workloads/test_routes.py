"""``/v1/workloads``."""

from __future__ import annotations

from app.workloads import service as workloads
from probes.space import Choice


def test_those_that_were_measured_at_each_state_of_their_source(api, database):
    for source in ("aaa", "bbb"):
        workloads.register(database, "mine", source, {"layers": Choice([1, 2])}, dataset_size=10)
    workloads.register(database, "other", "ccc", {"layers": Choice([1])})
    found = api.get("/v1/workloads", params={"workload": "mine"}).json()["items"]
    assert [each["workload_hash"] for each in found] == ["bbb", "aaa"]
    assert found[0]["space"]["layers"]
    assert found[0]["dataset_size"] == 10


def test_those_that_can_be_studied_need_no_import(api):
    found = api.get("/v1/workloads/registered").json()
    assert {"transformer", "visnet"} <= {each["name"] for each in found}
    visnet = next(each for each in found if each["name"] == "visnet")
    assert "data" not in visnet["options"]  # it names a file
