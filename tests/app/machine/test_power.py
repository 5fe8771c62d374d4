"""A power sweep on a device whose driver lies in a file: the limits that are measured, and what is
left of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from app.cli.commands.power import change_words, document, show
from app.machine import power
from app.machine.power import check_written, sweep_limits, watts
from app.machine.session import MeasuringSession
from optimizer.ablation.judge import Change
from probes.energy.power_limit import PowerLimit
from probes.errors import InputError, MeasurementError
from probes.measurement import Measurement, Verdict
from tests.app import factories
from tests.probes.energy import file_nvml
from tests.probes.energy.limits_power import FACTS, NVML


@pytest.fixture(autouse=True)
def driver(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FILE_NVML", str(tmp_path / "driver.json"))
    file_nvml.write(limit_mw=file_nvml.USUAL_MW)

    def of_file(facts: Any, folder: Path | None) -> PowerLimit:
        return PowerLimit(facts, folder, NVML)

    monkeypatch.setattr(power, "PowerLimit", of_file)


@dataclass
class Session:
    """Draws the limit that is set while it is probed."""

    folder: Path
    group: Any = None
    fails_at: float = 0.0
    limits: list[float] = field(default_factory=list)

    @property
    def target(self) -> Any:
        return SimpleNamespace(facts=FACTS)

    @property
    def settings(self) -> Any:
        return SimpleNamespace(probe=SimpleNamespace(lease_dir=self.folder))

    def probe(self, config: Any, batch_size: int, plan: Any) -> Measurement:
        limit_w = file_nvml.limit_w()
        self.limits.append(limit_w)
        if limit_w == self.fails_at:
            return factories.measurement(batch_size, Verdict.CRASH)
        return factories.measurement(batch_size, energy=factories.energy(limit_w * 2.4))


def swept(session: Session, *limits: str, rounds: int = 2) -> Any:
    return sweep_limits(
        cast(MeasuringSession, session), {}, 8, limits, rounds, lambda text, done, of: None
    )


def test_every_limit_is_set_while_it_is_measured_and_the_usual_one_afterwards(tmp_path):
    session = Session(tmp_path)
    found = swept(session, "300W", "50%")
    assert session.limits == [450.0, 300.0, 225.0, 225.0, 300.0, 450.0]
    assert [each.limit_w for each in found.limits] == [300.0, 225.0]
    assert file_nvml.limit_w() == 450.0


def test_after_a_probe_that_fails_the_usual_limit_is_set_and_said(tmp_path):
    with pytest.raises(MeasurementError, match="450 W again"):
        swept(Session(tmp_path, fails_at=300.0), "300W")
    assert file_nvml.limit_w() == 450.0


def test_a_limit_that_the_device_does_not_have_is_refused_before_anything_runs(tmp_path):
    session = Session(tmp_path)
    with pytest.raises(InputError, match="100 to 600"):
        swept(session, "300W", "50W")
    assert session.limits == []


def test_a_group_is_refused(tmp_path):
    with pytest.raises(InputError, match="single device"):
        swept(Session(tmp_path, group=object()), "300W")


def test_limits_are_watts_shares_or_the_ends_of_the_range(tmp_path):
    with PowerLimit(FACTS, tmp_path, NVML) as limit:
        texts = ("250W", "250", " 80% ", "min", "max")
        assert [watts(text, limit) for text in texts] == [250.0, 250.0, 360.0, 100.0, 600.0]
        with pytest.raises(InputError, match="250W"):
            watts("some", limit)


@pytest.mark.parametrize("text", ["nan%", "inf", "0W", "-80%", "W", ""])
def test_what_is_no_limit_is_refused_without_a_device(text):
    check_written(["250W", "80%", "min"])
    with pytest.raises(InputError, match="250W"):
        check_written([text])


def test_a_device_without_a_limit_is_told_before_it_is_waited_for(tmp_path):
    PowerLimit(FACTS, tmp_path, NVML).require()
    with pytest.raises(MeasurementError, match="only NVIDIA"):
        PowerLimit(replace(FACTS, kind="cpu", device="cpu"), tmp_path, NVML).require()


def test_the_answer_has_its_units_in_json_and_as_text(tmp_path, capsys):
    found = swept(Session(tmp_path), "300W", rounds=4)
    shown = document(found, "net", {"layers": 2}, 8, "cuda:0")
    assert json.loads(json.dumps(shown)) == shown
    assert shown["usual"]["limit_w"] == 450.0
    assert shown["limits"][0]["energy_change"]["value"] == pytest.approx(-1 / 3)
    show(found, "cuda:0")
    printed = " ".join(capsys.readouterr().out.split())
    assert "−33.3%" in printed
    assert "The limit is 450 W again." in printed


def test_a_change_without_an_interval_is_a_plain_figure():
    assert change_words(Change(-0.2, float("-inf"), float("inf"))) == "−20.0%"
    assert change_words(Change(0.04, 0.03, 0.05)) == "+4.0% (+3.0 to +5.0%)"
    assert change_words(None) == "usual"
