"""The energy of the measured steps, against scripts whose joules are known."""

from __future__ import annotations

from dataclasses import replace

import pynvml
import pytest

from probes.devices.reading import Missing
from probes.energy.meter import EnergyMeter
from probes.energy.record import MeasuredWindow
from probes.energy.sensor import Sensor
from probes.energy.sensors import device_counter, host_counter
from probes.energy.watch import ProbeWatch
from probes.measurement import Energy, Measurement, RankResult, Verdict
from tests.app import factories
from tests.probes.energy.scripted import (
    Clock,
    Power,
    RaplTree,
    ScriptedNvml,
    cpu,
    gpu,
    truth_j,
)

IDLE_W, BUSY_W = 61.0, 412.0
TRAINS = Power([(0.0, IDLE_W), (3.0, 240.0), (4.0, BUSY_W), (9.0, 300.0)])
"""A second of idling, a start, and measured steps between the fourth and the ninth second."""
WINDOW = MeasuredWindow(4.0, 9.0, 50)


def run(meter: EnergyMeter, clock: Clock, window: MeasuredWindow = WINDOW) -> None:
    """A probe as a worker reports it, with the sensors read every 50 ms."""
    clock.until(2.0)
    meter.begin(watch=False)
    ends = {round(window.from_s, 2): 0, round(window.to_s, 2): window.steps}
    for n in range(41, 201):
        clock.until(n * 0.05)
        moment = round(n * 0.05, 2)
        if moment in ends:
            meter.heard(ends[moment], moment)
        meter.look()
    meter.end()


def quiet(clock: Clock):
    """Waits for an idle device that stays idle."""

    def is_disturbed(window_s: float) -> bool:
        clock.until(clock() + window_s)
        return False

    return is_disturbed


def meter_of(clock: Clock, *counters, host=None) -> EnergyMeter:
    nobody = Missing("this machine shows no RAPL counters")
    sensors = [Sensor(each) for each in counters]
    return EnergyMeter(sensors, Sensor(host or nobody), clock=clock, interval_s=None)


def measured(**changes) -> Measurement:
    return factories.measurement(batch_size=8, **changes)


def energy_of(measurement: Measurement) -> Energy:
    assert measurement.energy is not None, measurement.energy_unavailable
    return measurement.energy


def test_nvml_counter_gives_the_joules_of_the_measured_steps():
    clock = Clock()
    meter = meter_of(clock, device_counter(gpu(), ScriptedNvml(clock, TRAINS)))
    run(meter, clock)
    found = energy_of(meter.beside(measured()))

    truth = truth_j(WINDOW, TRAINS)
    assert found.energy_j == pytest.approx(truth, rel=0.01)
    assert found.low_j <= truth <= found.high_j
    assert (found.steps, found.samples, found.window_s) == (50, 400, pytest.approx(5.0))
    assert (found.source, found.scope) == ("NVML counter", "device")
    assert found.per_sample_j == pytest.approx(truth / 400, rel=0.01)


def test_integrated_power_gives_the_joules_of_long_windows():
    clock = Clock()
    old = {"nvmlDeviceGetTotalEnergyConsumption": pynvml.NVMLError_NotSupported()}
    counter = device_counter(gpu(), ScriptedNvml(clock, Power([(0.0, BUSY_W)]), **old))
    assert not isinstance(counter, Missing)
    counter._clock = clock
    meter = meter_of(clock, counter)
    run(meter, clock)
    found = energy_of(meter.beside(measured()))

    assert found.energy_j == pytest.approx(5.0 * BUSY_W, rel=0.01)
    assert found.source == "NVML power, integrated"
    assert found.high_j - found.low_j > 0.1 * found.energy_j  # each reading is the mean of a second


@pytest.mark.parametrize("wraps_at_uj", [262_143_328_850, 150_000_000])
def test_rapl_gives_the_joules_of_the_host_also_when_it_wraps_around(tmp_path, wraps_at_uj):
    clock = Clock()
    package = Power([(0.0, 35.0), (4.0, 140.0), (9.0, 60.0)])
    memory = Power([(0.0, 4.0), (4.5, 9.0)])
    tree = RaplTree(tmp_path, clock, wraps_at_uj=wraps_at_uj)
    tree.zone("intel-rapl:0", "package-0", package, starts_at_uj=100_000_000)
    tree.zone("intel-rapl:0:0", "dram", memory)
    meter = meter_of(
        clock, device_counter(cpu(), powercap=tmp_path), host=host_counter(cpu(), tmp_path)
    )
    run(meter, clock)
    measurement = meter.beside(measured())
    found = energy_of(measurement)

    truth = truth_j(WINDOW, package, memory)
    assert found.energy_j == pytest.approx(truth, rel=0.01)
    assert found.low_j <= truth <= found.high_j
    assert found.scope == "host"
    assert measurement.host_energy is None
    assert "CPU is the device" in measurement.host_energy_unavailable


def test_host_energy_is_kept_apart_from_that_of_the_device(tmp_path):
    clock = Clock()
    package = Power([(0.0, 80.0)])
    RaplTree(tmp_path, clock).zone("intel-rapl:0", "package-0", package)
    meter = meter_of(
        clock,
        device_counter(gpu(), ScriptedNvml(clock, TRAINS)),
        host=host_counter(gpu(), tmp_path),
    )
    run(meter, clock)
    measurement = meter.beside(measured())

    assert energy_of(measurement).energy_j == pytest.approx(5 * BUSY_W, rel=0.01)
    assert measurement.host_energy is not None
    assert measurement.host_energy.energy_j == pytest.approx(400.0, rel=0.01)
    assert measurement.host_energy.source == "RAPL, packages"


class TestIdlePower:
    def test_it_is_taken_off_and_shown(self):
        clock = Clock()
        meter = meter_of(clock, device_counter(gpu(), ScriptedNvml(clock, TRAINS)))
        meter.know_idle(quiet(clock))
        run(meter, clock)
        found = energy_of(meter.beside(measured()))

        assert found.idle_power_w == pytest.approx(IDLE_W, rel=0.01)
        assert found.above_idle_j == pytest.approx(5 * (BUSY_W - IDLE_W), rel=0.015)

    def test_it_is_measured_once(self):
        clock = Clock()
        meter = meter_of(clock, device_counter(gpu(), ScriptedNvml(clock, TRAINS)))
        waits: list[float] = []

        def is_disturbed(window_s: float) -> bool:
            waits.append(window_s)
            clock.until(clock() + window_s)
            return False

        for _ in range(3):
            meter.know_idle(is_disturbed)
        assert len(waits) == 1

    def test_a_busy_device_has_none_and_says_why(self):
        clock = Clock()
        meter = meter_of(clock, device_counter(gpu(), ScriptedNvml(clock, TRAINS)))
        meter.know_idle(lambda window_s: True)
        run(meter, clock)
        found = energy_of(meter.beside(measured()))

        assert found.idle_power_w is None
        assert found.above_idle_j is None
        assert "busy" in found.idle_unavailable

    def test_a_device_keeps_it_for_every_group_that_it_belongs_to(self):
        clock = Clock()
        nvml = ScriptedNvml(clock, TRAINS, TRAINS)
        first, second = (Sensor(device_counter(gpu(index), nvml)) for index in range(2))
        nobody = Sensor(Missing("no host"))
        EnergyMeter([first], nobody, clock=clock, interval_s=None).know_idle(quiet(clock))
        known = first.idle_w
        both = EnergyMeter([first, second], nobody, clock=clock, interval_s=None)
        clock.until(6.0)  # by now the device is hot
        both.know_idle(quiet(clock))
        assert first.idle_w == known == pytest.approx(IDLE_W, rel=0.01)
        assert isinstance(second.idle_w, float) and second.idle_w > IDLE_W

    def test_without_a_sensor_nobody_waits(self):
        meter = meter_of(Clock(), Missing("this device does not report it"))
        meter.know_idle(lambda window_s: pytest.fail("it waited for nothing"))
        assert not meter.has_sensor


class TestGang:
    def ranks(self) -> list[RankResult]:
        return [RankResult(rank, f"cuda:{rank}", 8, Verdict.STABLE) for rank in range(2)]

    def test_the_energy_is_that_of_all_devices(self):
        clock = Clock()
        other = Power([(0.0, 50.0), (4.0, 210.0), (9.0, 50.0)])
        nvml = ScriptedNvml(clock, TRAINS, other)
        meter = meter_of(clock, device_counter(gpu(0), nvml), device_counter(gpu(1), nvml))
        meter.know_idle(quiet(clock))
        run(meter, clock)
        found = energy_of(meter.beside(measured(ranks=self.ranks(), data_parallel=2)))

        assert found.energy_j == pytest.approx(truth_j(WINDOW, TRAINS, other), rel=0.01)
        assert found.samples == 50 * 16
        assert found.idle_power_w == pytest.approx(IDLE_W + 50.0, rel=0.01)

    def test_without_one_of_its_devices_there_is_none(self):
        clock = Clock()
        lost = Missing("the device has fallen off the bus: restart the machine")
        meter = meter_of(clock, device_counter(gpu(0), ScriptedNvml(clock, TRAINS)), lost)
        run(meter, clock)
        measurement = meter.beside(measured(ranks=self.ranks(), data_parallel=2))

        assert measurement.energy is None
        assert "fallen off the bus" in measurement.energy_unavailable


class TestNotAvailable:
    def test_the_reason_is_the_sensors(self):
        meter = meter_of(Clock(), Missing("this device does not report it"))
        meter.begin(watch=False)
        meter.end()
        measurement = meter.beside(measured())

        assert measurement.energy is None
        assert measurement.energy_unavailable == "this device does not report it"
        assert measurement.host_energy_unavailable == "this machine shows no RAPL counters"

    def test_a_run_that_ended_before_its_measured_steps_has_none(self):
        clock = Clock()
        meter = meter_of(clock, device_counter(gpu(), ScriptedNvml(clock, TRAINS)))
        meter.begin(watch=False)
        clock.until(4.0)
        meter.heard(0, 4.0)
        meter.end()
        measurement = meter.beside(measured())

        assert measurement.energy is None
        assert "before any step was measured" in measurement.energy_unavailable

    def test_steps_that_are_too_short_for_the_sensor_are_not_guessed(self):
        clock = Clock()
        meter = meter_of(clock, device_counter(gpu(), ScriptedNvml(clock, TRAINS)))
        run(meter, clock, MeasuredWindow(4.0, 4.1, 4))
        measurement = meter.beside(measured())

        assert measurement.energy is None
        assert "0.1 s" in measurement.energy_unavailable

    def test_a_counter_that_stands_still_is_no_measurement(self):
        clock = Clock()
        meter = meter_of(clock, device_counter(gpu(), ScriptedNvml(clock, Power([(0.0, 0.0)]))))
        run(meter, clock)
        assert "did not move" in meter.beside(measured()).energy_unavailable

    def test_a_sensor_that_is_lost_meanwhile_says_so(self):
        clock = Clock()
        nvml = ScriptedNvml(clock, TRAINS)
        meter = meter_of(clock, device_counter(gpu(), nvml))
        meter.begin(watch=False)
        nvml.fails = {"nvmlDeviceGetTotalEnergyConsumption": pynvml.NVMLError_GpuIsLost()}
        clock.until(4.0)
        meter.heard(0, 4.0)
        clock.until(9.0)
        meter.heard(50, 9.0)
        meter.end()
        assert "fallen off the bus" in meter.beside(measured()).energy_unavailable


class TestMessages:
    def test_those_about_measured_steps_are_for_the_meter(self):
        clock = Clock()
        meter = meter_of(clock, device_counter(gpu(), ScriptedNvml(clock, TRAINS)))
        passed: list[dict] = []
        heard = ProbeWatch(None, meter).listener(passed.append)
        assert heard is not None
        meter.begin(watch=False)
        heard({"event": "progress", "phase": "train", "step": 3})
        for at_s, steps in ((1.0, 0), (2.5, 6), (4.0, 12)):
            clock.until(at_s)
            heard({"event": "measured", "steps": steps, "at_s": at_s})
        clock.until(4.2)
        meter.end()

        assert passed == [{"event": "progress", "phase": "train", "step": 3}]
        found = energy_of(meter.beside(measured()))
        assert (found.steps, found.window_s) == (12, pytest.approx(3.0))

    def test_they_reach_nobody_where_there_is_no_meter(self):
        passed: list[dict] = []
        heard = ProbeWatch(None, None).listener(passed.append)
        assert heard is not None
        heard({"event": "measured", "steps": 0, "at_s": 1.0})
        heard({"event": "progress", "phase": "train"})
        assert passed == [{"event": "progress", "phase": "train"}]

    def test_another_clock_than_ours_is_not_believed(self):
        clock = Clock()
        meter = meter_of(clock, device_counter(gpu(), ScriptedNvml(clock, TRAINS)))
        meter.begin(watch=False)
        for now_s, steps in ((4.0, 0), (9.0, 50)):
            clock.until(now_s)
            meter.heard(steps, 88_000.0 + now_s)
            clock.until(now_s + 0.2)
            meter.look()
        meter.end()
        assert energy_of(meter.beside(measured())).window_s == pytest.approx(5.0)


def test_a_measurement_with_energy_survives_json():
    measurement = measured(energy=factories.energy(), host_energy_unavailable="no RAPL")
    assert Measurement.from_dict(measurement.to_dict()) == measurement
    assert replace(measurement, energy=None).to_dict()["energy"] is None
