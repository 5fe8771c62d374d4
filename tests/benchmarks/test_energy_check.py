"""The energy part of the check of an accelerator, on scripted runs."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import energy_check
from probes.job import CONFIRM_PLAN, ProbeJob, WorkloadRef
from probes.measurement import Measurement
from tests.app import factories
from tests.probes.energy.scripted import cpu

JOB = ProbeJob(WorkloadRef("transformer"), {}, 8, "cpu", CONFIRM_PLAN)


def checked(*runs: Measurement) -> dict[str, Any]:
    left = list(runs)
    prober: Any = SimpleNamespace(probe=lambda job, telemetry: left.pop(0))
    telemetry: Any = SimpleNamespace(facts=cpu())
    return energy_check.energy_check(prober, telemetry, JOB)


def run(joules: float, **changes: Any) -> Measurement:
    return factories.measurement(energy=factories.energy(joules), **changes)


def test_two_runs_that_agree_pass() -> None:
    found = checked(run(240.0), run(245.0))
    assert found["power_w"] == [100.0, pytest.approx(102.08, abs=0.01)]


def test_two_runs_that_differ_fail_unless_something_disturbed_them() -> None:
    with pytest.raises(AssertionError, match="differ"):
        checked(run(240.0), run(340.0))
    assert checked(run(240.0), run(340.0, tainted=["hot"]))["tainted"] == ["hot"]


def test_a_device_without_a_sensor_says_why_and_passes() -> None:
    silent = factories.measurement(energy_unavailable="this device does not report it")
    assert checked(silent, silent)["not_available"] == "this device does not report it"


def test_an_idle_device_that_draws_more_than_a_busy_one_fails() -> None:
    odd = replace(run(240.0), energy=factories.energy(240.0, idle_power_w=900.0))
    with pytest.raises(AssertionError):
        checked(odd, odd)


def test_a_limit_that_cannot_be_changed_is_a_refusal_and_no_failure() -> None:
    assert "NVIDIA" in energy_check.power_limit_check(cpu())["refused"]
