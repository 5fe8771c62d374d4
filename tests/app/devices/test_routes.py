"""``/v1/devices``."""

from __future__ import annotations

from app.devices import service as devices
from probes.devices.fingerprint import Fingerprint
from tests.app.serving import problem

FINGERPRINT = Fingerprint(
    identity={"model": "H200", "driver": "550"}, device_class={"model": "H200", "total_bytes": 100}
)
BODY = {
    "kind": "cuda",
    "name": "NVIDIA H200",
    "fingerprint": {"identity": FINGERPRINT.identity, "device_class": FINGERPRINT.device_class},
}


def test_a_device_of_another_machine_is_known_by_its_computed_key(api):
    answer = api.post("/v1/devices", json=BODY)
    assert answer.status_code == 201
    assert answer.json()["key"] == FINGERPRINT.key
    read = api.get(f"/v1/devices/{FINGERPRINT.key}").json()
    assert (read["kind"], read["name"]) == ("cuda", "NVIDIA H200")
    assert read["class_key"] == FINGERPRINT.class_key
    assert read["fingerprint"]["identity"] == FINGERPRINT.identity


def test_sending_it_again_makes_no_second_one(api):
    for _ in range(2):
        api.post("/v1/devices", json=BODY)
    assert len(api.get("/v1/devices").json()["items"]) == 1


def test_filters(api, database):
    devices.register(database, FINGERPRINT, kind="cuda", name="NVIDIA H200")
    devices.register(database, Fingerprint({"m": 1}, {"m": 2}), kind="cpu", name="EPYC")
    cpus = api.get("/v1/devices", params={"kind": "cpu"}).json()["items"]
    assert [device["name"] for device in cpus] == ["EPYC"]
    alike = api.get("/v1/devices", params={"class_key": FINGERPRINT.class_key}).json()["items"]
    assert [device["name"] for device in alike] == ["NVIDIA H200"]


def test_an_unknown_device(api):
    problem(api.get("/v1/devices/0000"), 404, "not-found")
