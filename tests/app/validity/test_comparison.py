"""What counts as different, whoever found out what is true now."""

from __future__ import annotations

import pytest

from app.machine.local_facts import DeviceNow
from app.validity.comparison import Aspect, Conditions, absent, compare, measured_with
from app.validity.reported import conditions_of
from probes.devices.fingerprint import Fingerprint
from tests.app import factories

BEFORE = Fingerprint(identity={"driver": "550.54", "torch": "2.13.0"}, device_class={})
AFTER = Fingerprint(identity={"driver": "560.28", "torch": "2.13.0"}, device_class={})
MEASURED = factories.recommendation(valid={"fingerprint": BEFORE.key, "workload_hash": "abc"})
THEN = measured_with(MEASURED, BEFORE)


def words(now: Conditions, then: Conditions = THEN) -> list[str]:
    return [each.words for each in compare("train.py:Net", then, now).differences]


def test_holds_on_the_same_device_for_the_same_workload():
    now = Conditions(fingerprint=BEFORE.key, groups=BEFORE, source_hash="abc")
    found = compare("train.py:Net", THEN, now)
    assert (found.is_valid, found.reasons) == (True, [])


def test_what_was_not_looked_at_is_not_compared():
    assert compare("train.py:Net", THEN, Conditions()).is_valid


def test_what_changed_of_a_device_is_named_where_both_fingerprints_are_known():
    now = Conditions(fingerprint=AFTER.key, groups=AFTER)
    assert words(now) == ["driver 550.54 -> 560.28"]
    assert "driver 550.54 -> 560.28" in compare("train.py:Net", THEN, now).reasons[0]


def test_else_only_that_it_did():
    now = Conditions(fingerprint=AFTER.key)
    assert words(now) == [f"fingerprint {BEFORE.key} -> {AFTER.key}"]
    assert words(now, Conditions(fingerprint="")) == [f"fingerprint unknown -> {AFTER.key}"]


@pytest.mark.parametrize(
    ("then", "now", "aspect", "parts"),
    [
        ({"source_hash": "abc"}, {"source_hash": "xyz"}, Aspect.SOURCE, ["train.py:Net"]),
        (
            {"limit_bytes": 2**31},
            {"limit_bytes": 2**30},
            Aspect.MEMORY,
            ["2.00 GiB -> 1.00 GiB"],
        ),
        (
            {"environment": {"threads": "2"}},
            {"environment": {"threads": "8", "X": "1"}},
            Aspect.ENVIRONMENT,
            ["X unset -> 1", "threads 2 -> 8"],
        ),
        ({"time_scale": 0.1}, {"time_scale": 1.0}, Aspect.WINDOW, ["scaled by 0.1"]),
    ],
)
def test_every_other_aspect(then, now, aspect, parts):
    found = compare("train.py:Net", Conditions(**then), Conditions(**now))
    assert {each.aspect for each in found.differences} == {aspect}
    assert len(found.reasons) == 1
    for part in parts:
        assert part in found.reasons[0]
    assert compare("train.py:Net", Conditions(**then), Conditions(**then)).is_valid


def test_environments_of_two_devices_are_not_compared():
    then = Conditions(fingerprint="a", environment={"threads": "2"})
    now = Conditions(fingerprint="b", environment={"threads": "8"})
    assert words(now, then) == ["fingerprint a -> b"]


def test_something_that_is_gone_is_said_as_it_is():
    found = absent("This machine has no device cuda:7 now.")
    assert (found.is_valid, found.reasons) == (False, ["This machine has no device cuda:7 now."])


def test_what_a_client_reports():
    device = DeviceNow("cuda:0", "cuda", "H200", AFTER.key, AFTER.to_dict())
    assert words(conditions_of(device, "abc")) == ["driver 550.54 -> 560.28"]
    assert words(conditions_of(None, None)) == []


def test_a_bundle_is_not_compared_with_a_folder_and_that_is_said():
    of_bundle = Conditions(source_hash="bundle0a1b2c3d4e5f6071")
    (told,) = words(of_bundle)
    assert "cannot be told" in told
    (other,) = words(Conditions(source_hash="bundle99"), then=of_bundle)
    assert "have changed" in other
