from __future__ import annotations

from datetime import datetime, timezone

import pytest

from app.database.models.results import DeviceRow, WorkloadRow
from app.validity.comparison import Aspect
from app.validity.last_seen import validities, validity
from probes.devices.fingerprint import Fingerprint
from tests.app.dashboard.results import store
from tests.app.factories import recommendation

NOW = datetime.now(timezone.utc)


def seen(number: int, kind: str = "cuda", **identity: object) -> DeviceRow:
    made = Fingerprint({"uuid": "GPU-1", "driver": "550", **identity}, {"name": "H200"})
    return DeviceRow(id=number, key=made.key, kind=kind, name="H200", document=made.to_dict())


def known(number: int, source_hash: str, options: dict | None = None) -> WorkloadRow:
    return WorkloadRow(
        id=number, reference="train.py:Net", source_hash=source_hash, options=options or {}
    )


def measured_on(record: DeviceRow, **changes):
    valid = {"fingerprint": record.key, "workload_hash": "abc", "workload_options": {}, **changes}
    return recommendation(valid=valid)


class TestDevice:
    def test_the_same_is_valid(self):
        device = seen(1)
        assert validity(measured_on(device), [device], []).is_valid

    def test_a_later_driver_on_the_same_hardware_makes_it_stale_and_is_named(self):
        device = seen(1)
        found = validity(measured_on(device), [seen(2, driver="560"), device], [])
        assert [each.words for each in found.differences] == ["driver 550 -> 560"]

    def test_an_earlier_driver_does_not(self):
        device = seen(1)
        assert validity(measured_on(device), [device, seen(2, driver="540")], []).is_valid

    @pytest.mark.parametrize(
        "other", [seen(2, uuid="GPU-2", driver="560"), seen(2, kind="cpu", driver="560")]
    )
    def test_another_device_says_nothing(self, other):
        device = seen(1)
        assert validity(measured_on(device), [other, device], []).is_valid

    def test_a_group_that_the_device_is_in_says_nothing_of_it_nor_the_reverse(self):
        alone, pair = seen(1, machine="m"), seen(2, machine="m", ranks=2, driver="560")
        assert validity(measured_on(alone), [pair, alone], []).is_valid
        assert validity(measured_on(pair), [alone, pair], []).is_valid
        later = seen(3, machine="m", ranks=2, driver="570")
        found = validity(measured_on(pair), [later, alone, pair], [])
        assert [each.words for each in found.differences] == ["driver 560 -> 570"]

    def test_a_device_of_which_only_the_key_is_known_says_nothing(self):
        bare = DeviceRow(id=1, key="f" * 16, kind="cuda", name="cuda:0", document={})
        assert validity(recommendation(), [seen(2), bare], []).is_valid


class TestWorkload:
    def test_a_changed_source_makes_it_stale(self):
        found = validity(measured_on(seen(1)), [], [known(2, "new"), known(1, "abc")])
        assert [each.aspect for each in found.differences] == [Aspect.SOURCE]
        assert "train.py:Net" in found.reasons[0]

    def test_the_source_under_other_options_is_another_one(self):
        rows = [known(2, "new", {"data": "b"}), known(1, "abc")]
        assert validity(measured_on(seen(1)), [], rows).is_valid


def test_it_is_read_from_the_store(database):
    made = store(database)
    assert validities(database, [made])[made.id].is_valid
