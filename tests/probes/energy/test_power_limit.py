"""A power limit is given back, whoever is killed and whenever."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from probes.devices.base import DeviceFacts
from probes.energy import power_record
from probes.energy.power_limit import GUARD, PowerLimit, give_back_left_over
from probes.energy.power_record import PowerRecord, record_file
from probes.errors import InputError, MeasurementError
from probes.formatting import GIB
from tests.probes.energy import file_nvml
from tests.probes.energy.limits_power import FACTS, NVML

KILLS = 10
USUAL_W = file_nvml.USUAL_MW / 1000
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def driver(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FILE_NVML", str(tmp_path / "driver.json"))
    file_nvml.write(limit_mw=file_nvml.USUAL_MW)


@pytest.fixture
def record(tmp_path) -> Path:
    return record_file(str(FACTS.identity["uuid"]), tmp_path)


def start(folder: Path) -> tuple[subprocess.Popen, int]:
    """A process that changes the limit, and the guardian's number."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.probes.energy.limits_power", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def until(condition, within_s: float = 30.0) -> bool:
    deadline_s = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


def test_a_limit_is_set_and_given_back(tmp_path, record):
    with PowerLimit(FACTS, tmp_path, NVML) as limit:
        assert (limit.usual_w, limit.least_w, limit.most_w) == (450.0, 100.0, 600.0)
        assert record.exists()
        limit.set(200.0)
        assert file_nvml.limit_w() == 200.0
    assert file_nvml.limit_w() == USUAL_W
    assert not record.exists()


def test_it_is_given_back_after_an_error_too(tmp_path):
    with pytest.raises(KeyboardInterrupt), PowerLimit(FACTS, tmp_path, NVML) as limit:
        limit.set(200.0)
        raise KeyboardInterrupt
    assert file_nvml.limit_w() == USUAL_W


def test_its_guardian_ends_with_it(tmp_path):
    with PowerLimit(FACTS, tmp_path, NVML) as limit:
        assert limit._guardian is not None
        guardian = limit._guardian
    assert guardian.returncode == 0


def test_it_is_given_back_however_often_and_whenever_its_process_is_killed(tmp_path, record):
    rng = random.Random(1)
    for _ in range(KILLS):
        process, _ = start(tmp_path)
        time.sleep(rng.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert until(lambda: not record.exists()), "the guardian left its record"
        assert file_nvml.limit_w() == USUAL_W
    assert 200_000 in file_nvml.changes()


def test_where_the_guardian_is_killed_too_the_next_start_gives_it_back(tmp_path, record):
    process, guardian = start(tmp_path)
    os.kill(guardian, signal.SIGKILL)
    assert until(lambda: file_nvml.limit_w() != USUAL_W)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert record.exists()
    file_nvml.write(limit_mw=250_000)

    (told,) = give_back_left_over([FACTS], tmp_path, power_record.load_nvml(NVML))
    assert "450 W" in told
    assert file_nvml.limit_w() == USUAL_W
    assert not record.exists()
    assert give_back_left_over([FACTS], tmp_path, power_record.load_nvml(NVML)) == []


def test_the_next_sweep_gives_it_back_as_well_and_does_not_take_the_lower_one_for_usual(tmp_path):
    left = PowerRecord.of(str(FACTS.identity["uuid"]), file_nvml.USUAL_MW)
    power_record.write(left, record_file(left.uuid, tmp_path))
    file_nvml.write(limit_mw=200_000)
    with PowerLimit(FACTS, tmp_path, NVML) as limit:
        assert limit.usual_w == USUAL_W
    assert file_nvml.limit_w() == USUAL_W


def test_without_permission_nothing_is_changed_and_the_refusal_says_who_may(tmp_path, record):
    file_nvml.write(limit_mw=file_nvml.USUAL_MW, refuses=True)
    with pytest.raises(MeasurementError, match="root"):
        PowerLimit(FACTS, tmp_path, NVML).__enter__()
    assert not record.exists()
    assert file_nvml.changes() == []


def test_a_limit_that_the_device_does_not_have_is_wrong_input(tmp_path):
    with PowerLimit(FACTS, tmp_path, NVML) as limit, pytest.raises(InputError, match="100 to 600"):
        limit.set(50.0)
    assert file_nvml.limit_w() == USUAL_W


def test_only_nvidia_devices_have_a_limit_that_can_be_set(tmp_path):
    with pytest.raises(MeasurementError, match="NVIDIA"):
        PowerLimit(DeviceFacts("cpu", "cpu", "CPU", GIB, None), tmp_path, NVML).__enter__()
    no_uuid = replace(FACTS, identity={})
    with pytest.raises(MeasurementError, match="UUID"):
        PowerLimit(no_uuid, tmp_path, NVML).__enter__()


def test_a_record_that_another_user_may_have_planted_is_not_followed(tmp_path, record, monkeypatch):
    power_record.write(PowerRecord.of(str(FACTS.identity["uuid"]), 100_000), record)
    monkeypatch.setattr(power_record.os, "geteuid", lambda: 4242)
    fstat = os.fstat

    def of_somebody(fd: int):
        found = list(fstat(fd))
        found[stat.ST_UID] = 1234
        return os.stat_result(found)

    monkeypatch.setattr(power_record.os, "fstat", of_somebody)
    assert give_back_left_over([FACTS], tmp_path, power_record.load_nvml(NVML)) == []
    assert file_nvml.changes() == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"uuid": "x"}'])
def test_a_damaged_record_is_left_alone(tmp_path, record, text):
    record.write_text(text)
    assert give_back_left_over([FACTS], tmp_path, power_record.load_nvml(NVML)) == []


def test_a_limit_that_cannot_be_given_back_keeps_its_record(tmp_path, record, monkeypatch):
    monkeypatch.setattr(power_record, "ATTEMPTS", 1)
    monkeypatch.setattr(power_record, "RETRY_S", 0.0)
    with pytest.raises(MeasurementError, match="450 W"), contextlib.ExitStack() as stack:
        limit = stack.enter_context(PowerLimit(FACTS, tmp_path, NVML))
        limit.set(200.0)
        assert limit._guardian is not None
        limit._guardian.kill()  # it would go on trying
        file_nvml.write(limit_mw=200_000, refuses=True)
    assert record.exists()
    file_nvml.write(limit_mw=200_000)
    assert give_back_left_over([FACTS], tmp_path, power_record.load_nvml(NVML))
    assert file_nvml.limit_w() == USUAL_W


def test_a_guardian_whose_parent_died_before_it_was_ready_gives_the_limit_back(tmp_path, record):
    left = PowerRecord.of(str(FACTS.identity["uuid"]), file_nvml.USUAL_MW)
    power_record.write(left, record)
    file_nvml.write(limit_mw=200_000)
    lifeline_read, lifeline_write = os.pipe()
    status_read, status_write = os.pipe()
    os.close(lifeline_write)
    os.close(status_read)
    command = [sys.executable, "-I", str(GUARD), str(lifeline_read), str(status_write)]
    ran = subprocess.run(
        [*command, str(record), left.token, NVML],
        pass_fds=(lifeline_read, status_write),
        check=False,
    )
    os.close(lifeline_read)
    os.close(status_write)
    assert ran.returncode == 0
    assert file_nvml.limit_w() == USUAL_W
    assert not record.exists()
