"""The window of the energy is that of the step time: real workers, a gang and a command, with a
sensor that counts a hundred joules a second."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from probes.black_box.command import reference
from probes.black_box.footprint import Footprint
from probes.black_box.probe import CommandProber
from probes.devices.reading import Missing
from probes.devices.telemetry import Telemetry
from probes.energy import meter
from probes.energy.meter import EnergyMeter
from probes.energy.meters import Meters
from probes.energy.sensor import Sensor
from probes.group import Group
from probes.job import CONFIRM_PLAN, ProbeJob, WorkloadRef
from probes.measurement import Measurement
from probes.prober import Prober
from probes.timeouts import Timeouts
from tests.app import factories
from tests.probes.energy.scripted import cpu

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="memory budgets need Linux")
FAULTY = Path(__file__).parents[1] / "faulty.py"
SCRIPT = Path(__file__).parents[1] / "black_box" / "script.py"
MIB = 2**20
PLAN = replace(
    CONFIRM_PLAN, measure_steps=6, max_measure_steps=200, max_warmup_steps=5, measure_budget_s=1.0
)


@pytest.fixture(autouse=True)
def busy_machines_count_too(monkeypatch) -> None:
    """Where the parent waits for a core, the bounds are wide; the value is still right."""
    monkeypatch.setattr(meter, "WIDEST", float("inf"))


class HundredWatts:
    source, scope, period_s = "scripted", "host", 0.0

    def read_j(self) -> float:
        return 100.0 * time.monotonic()


class OurMeters(Meters):
    """Every device has the same sensor, and nobody waits for an idle one."""

    def _ready(self, telemetry: Telemetry) -> EnergyMeter:
        sensors = [Sensor(HundredWatts()) for _ in telemetry.members]
        return EnergyMeter(sensors, Sensor(Missing("no host")))


def is_of_the_measured_steps(m: Measurement) -> None:
    assert m.energy is not None, m.energy_unavailable
    assert m.step_time is not None
    assert m.energy.steps == m.step_time.steps
    assert m.energy.energy_j == pytest.approx(100.0 * m.energy.window_s, rel=0.1)
    # What lies between the steps (judging, waiting for a core) is in the window, but no more.
    steps_s = m.step_time.steps * m.step_time.mean_s
    assert steps_s * 0.9 < m.energy.window_s < m.wall_s


def test_of_a_worker() -> None:
    job = ProbeJob(
        WorkloadRef(f"{FAULTY}:Healthy"), {"width": 64}, 8, "cpu", PLAN, limit_bytes=512 * MIB
    )
    messages: list[dict] = []
    with Prober(sys.executable, meters=OurMeters()) as prober:
        m = prober.probe(job, Telemetry(cpu()), messages.append)
    is_of_the_measured_steps(m)
    assert m.energy is not None and m.energy.samples == 8 * m.energy.steps
    assert all("phase" in message for message in messages)


def test_of_a_gang() -> None:
    group = Group(("cpu", "cpu"))
    job = ProbeJob(
        workload=WorkloadRef(f"{FAULTY.parent}/ranks/faulty.py:Healthy"),
        config={"layers": 2, "parallel": "ddp"},
        batch_size=8,
        device=group.label,
        plan=PLAN,
        limit_bytes=512 * MIB,
        group=group,
    )
    with Prober(timeouts=Timeouts(120.0, 20.0, 240.0), meters=OurMeters()) as prober:
        m = prober.probe(job, Telemetry(cpu()))
    is_of_the_measured_steps(m)
    assert m.energy is not None and m.energy.samples == 16 * m.energy.steps


def test_of_a_command() -> None:
    def no_torch(job: ProbeJob) -> Footprint:
        return Footprint(job.limit_bytes or 2**30, 0, 0, 2**34, torch="none", python="3")

    command = f"{sys.executable} {SCRIPT} --batch-size {{batch_size}}"
    job = ProbeJob(reference("script.py", {"command": command}), {}, 8, "cpu", PLAN, 128 * MIB, 0.0)
    prober = CommandProber(sys.executable, Timeouts(20.0, 20.0, 60.0), no_torch, OurMeters())
    is_of_the_measured_steps(prober.probe(job, Telemetry(cpu())))


def test_without_a_sensor_the_reason_is_kept_and_nothing_is_started(tmp_path: Path) -> None:
    meters = Meters(powercap=tmp_path)
    for _ in range(2):
        watch = meters.watch(Telemetry(cpu()))
        threads = threading.active_count()
        watch.begin(os.getpid())
        assert threading.active_count() == threads + 1, "telemetry alone"
        watch.end()
        m = watch.beside(factories.measurement())
        assert m.energy is None
        assert "RAPL" in m.energy_unavailable
    assert meters._ready(Telemetry(cpu())) is meters._ready(Telemetry(cpu())), "it looks once"
