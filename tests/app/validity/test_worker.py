"""What torch says of this machine now, for devices and for groups of them."""

from __future__ import annotations

from dataclasses import asdict
from types import SimpleNamespace

import pytest

from app.machine.groups import fingerprint_of_group
from app.settings import load_settings
from app.validity import worker
from probes.devices.base import DeviceFacts
from probes.devices.fingerprint import Fingerprint, build_fingerprint
from probes.formatting import GIB
from probes.group import group_of
from tests.app import factories

CPU = DeviceFacts("cpu", "cpu", "Xeon", 16 * GIB, None, identity={"torch": "2.13.0"})


@pytest.fixture
def standing(database, monkeypatch):
    """Whether a recommendation for a device, measured with a fingerprint, holds on this machine."""
    prober = SimpleNamespace(describe=lambda workload: {"source_hash": "abc123"})
    found = {"devices": [asdict(CPU)]}
    monkeypatch.setattr(worker, "find_devices", lambda settings, python: (prober, found))

    def ask(device: str, measured_on: Fingerprint):
        valid = {"fingerprint": measured_on.key, "workload_hash": "abc123"}
        made = factories.recommendation(device=device, valid=valid, environment={})
        (answer,) = worker.validities(load_settings(environ={}), database, [made], None)
        return answer

    return ask


def test_a_group_is_valid_while_its_members_are_the_same(standing):
    assert standing("cpu:0-1", fingerprint_of_group(group_of("cpu:0-1"), [CPU, CPU])).is_valid
    assert standing("cpu", build_fingerprint(CPU)).is_valid


def test_a_group_whose_members_are_not_all_here_is_gone(standing):
    (reason,) = standing("cuda:0-1", build_fingerprint(CPU)).reasons
    assert "no device cuda:0-1" in reason


def test_a_group_is_not_its_device(standing):
    assert not standing("cpu:0-1", build_fingerprint(CPU)).is_valid
