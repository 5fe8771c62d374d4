"""What a host offers: asked once of each interpreter, and again when the configuration changes."""

from __future__ import annotations

import pytest

from app.jobs import detect
from app.jobs.detect import Detector, lease_of
from app.settings import load_settings
from probes.devices.base import DeviceFacts
from probes.errors import MeasurementError
from tests.app.jobs.conftest import offers

OWN = '[workloads.mine]\nreference = "train.py:Net"\npython = "/srv/venv/bin/python"\n'


@pytest.fixture
def asked(monkeypatch):
    """The interpreters that were asked for their devices; ``/srv/bad`` ones have no torch."""
    found: list[str] = []

    def seen_by(settings, python):
        found.append(python)
        if "bad" in python:
            raise MeasurementError("no torch")
        return list(offers("cuda:0", "cpu", python=python).devices)

    monkeypatch.setattr(detect, "_seen_by", seen_by)
    return found


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes the ``tonnage.toml`` that applies."""
    monkeypatch.chdir(tmp_path)
    return (tmp_path / "tonnage.toml").write_text


def test_every_interpreter_is_asked_once(asked, write):
    write(OWN)
    found = Detector(load_settings()).offers()
    assert asked == ["", "/srv/venv/bin/python"]
    assert found.workloads == {"transformer": "", "visnet": "", "mine": "/srv/venv/bin/python"}
    assert len(found.devices) == 4


def test_only_some_devices(asked):
    found = Detector(load_settings(), ["cpu"]).offers()
    assert [offer.device for offer in found.devices] == ["cpu"]
    with pytest.raises(MeasurementError, match=r"Asked for: cuda:7; found: cpu, cuda:0"):
        Detector(load_settings(), ["cuda:7"]).offers()


def test_an_interpreter_without_torch_takes_only_its_own_workloads_along(asked, write, caplog):
    write(OWN.replace("/srv/venv", "/srv/bad"))
    assert set(Detector(load_settings()).offers().workloads) == {"transformer", "visnet"}
    assert "mine: no torch" in caplog.text


def test_with_nothing_to_offer_it_says_why(asked, monkeypatch):
    def nothing(settings, python):
        raise MeasurementError("no torch")

    monkeypatch.setattr(detect, "_seen_by", nothing)
    with pytest.raises(MeasurementError, match=r"nothing to run studies on.*no torch"):
        Detector(load_settings()).offers()


def test_a_changed_configuration_is_seen_and_an_unchanged_one_not_read(asked, write):
    detector = Detector(load_settings())
    detector.offers()
    assert detector.changed() is None
    write(OWN)
    found = detector.changed()
    assert found is not None
    assert "mine" in found.workloads
    assert asked == ["", "/srv/venv/bin/python"]  # the default one is not asked again
    assert detector.changed() is None


def test_a_broken_configuration_changes_nothing(asked, write, caplog):
    detector = Detector(load_settings())
    detector.offers()
    write("workloads = 5")
    assert detector.changed() is None
    assert "not used" in caplog.text


def test_a_device_with_a_name_of_its_own_is_the_same_from_every_container():
    facts = DeviceFacts("cuda:0", "cuda", "H200", 1, 1, identity={"uuid": "GPU-1"})
    assert lease_of(facts) == "cuda:GPU-1"
    cpu = DeviceFacts("cpu", "cpu", "EPYC", 1, 1)
    machine, _, name = lease_of(cpu).partition("/")
    assert (len(machine), name) == (16, "cpu")
