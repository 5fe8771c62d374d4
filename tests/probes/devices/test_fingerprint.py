"""Fingerprints: which results are comparable, and what changed when they are not."""

from __future__ import annotations

import json
from dataclasses import replace

from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import Fingerprint, build_fingerprint
from probes.devices.telemetry import Telemetry
from probes.formatting import GIB
from tests.probes.devices.test_telemetry import FakeNvml, QuietMachine, gpu_facts

BASE = Fingerprint(
    identity={"driver": "550.54", "torch": "2.13.0"},
    device_class={"name": "Fake", "total_bytes": 8 * GIB},
    environment={"cores": 4},
    state={"temperature_c": 40},
)


def test_the_same_device_has_the_same_key_however_warm_it_is() -> None:
    warmer = replace(BASE, state={"temperature_c": 80})

    assert BASE.key == warmer.key
    assert len(BASE.key) == 16
    assert BASE.differences(warmer) == []


def test_another_driver_is_another_identity_of_the_same_class() -> None:
    updated = replace(BASE, identity={**BASE.identity, "driver": "560.28"})

    assert updated.key != BASE.key
    assert updated.class_key == BASE.class_key
    assert BASE.differences(updated) == ["driver 550.54 -> 560.28"]


def test_sizes_are_told_in_gib() -> None:
    larger = replace(BASE, device_class={**BASE.device_class, "total_bytes": 16 * GIB})

    assert BASE.differences(larger) == ["total 8.00 GiB -> 16.00 GiB"]
    assert larger.class_key != BASE.class_key


def test_why_a_value_is_missing_does_not_change_the_key() -> None:
    one = replace(BASE, identity={"driver": {"missing": "no permission"}})
    other = replace(BASE, identity={"driver": {"missing": "not reported"}})

    assert one.key == other.key
    assert one.differences(other) == []
    assert one.differences(BASE)[0] == "driver unknown -> 550.54"


def test_the_order_of_fields_does_not_change_the_key() -> None:
    turned = replace(BASE, identity=dict(reversed(BASE.identity.items())))

    assert turned.key == BASE.key


def test_it_survives_json() -> None:
    data = json.loads(json.dumps(BASE.to_dict()))

    assert Fingerprint.from_dict(data) == BASE
    assert data["key"] == BASE.key


def test_what_nvml_knows_is_merged_into_what_torch_knows() -> None:
    facts = gpu_facts()
    facts.identity["driver"] = {"missing": "torch does not know it"}

    made = build_fingerprint(facts, Telemetry(facts, machine=QuietMachine(), nvml=FakeNvml()))

    assert made.identity["driver"] == "550.54.15"
    assert made.identity["mig"] is False
    assert made.device_class["power_limit_w"] == 700.0
    assert made.device_class["ecc"] is True
    assert made.state["power_w"] == 350.0
    assert made.state["remapped_rows"]["pending"] is False
    json.dumps(made.to_dict())


def test_without_telemetry_torchs_side_is_enough() -> None:
    facts = DeviceFacts("cpu", "cpu", "Fake", GIB, GIB, identity={"torch": "2.13.0"})

    assert build_fingerprint(facts).identity == {"torch": "2.13.0"}
