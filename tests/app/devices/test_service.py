from __future__ import annotations

from app.devices import service
from app.tuning import service as studies
from probes.devices.fingerprint import Fingerprint
from tests.app import factories
from tests.app.contents import devices

H200 = Fingerprint(
    identity={"uuid": "GPU-1", "driver": "550.54", "torch": "2.13.0"},
    device_class={"name": "NVIDIA H200", "total_bytes": 150_000_000_000},
    environment={"cores": 16},
    state={"free_bytes": {"missing": "not read"}},
)


def test_a_device_is_one_row_however_often_it_is_seen(database):
    for _ in range(2):
        service.register(database, H200, kind="cuda", name="NVIDIA H200")
    (device,) = devices(database)
    assert (device.key, device.class_key) == (H200.key, H200.class_key)
    assert (device.kind, device.name) == ("cuda", "NVIDIA H200")
    assert device.last_seen_at > device.first_seen_at


def test_its_fingerprint_comes_back_equal(database):
    service.register(database, H200, kind="cuda", name="NVIDIA H200")
    assert service.fingerprint_of(database, H200.key) == H200
    assert service.fingerprint_of(database, "unknown") is None


def test_a_study_does_not_overwrite_what_is_known_of_its_device(database):
    service.register(database, H200, kind="cuda", name="NVIDIA H200")
    studies.open_study(database, factories.spec(fingerprint=H200.key, device="cuda:0"))
    (device,) = devices(database)
    assert device.name == "NVIDIA H200"


def test_a_device_known_by_its_key_only_has_no_fingerprint(database):
    studies.open_study(database, factories.spec())
    assert service.fingerprint_of(database, "f" * 16) is None
