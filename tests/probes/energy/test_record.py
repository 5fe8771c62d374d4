"""Readings of a rising counter tell the energy of a window, with bounds that always hold."""

from __future__ import annotations

import random

import pytest

from probes.energy.record import CounterRecord, Joules, MeasuredWindow
from tests.probes.energy.scripted import Power


def read(power: Power, period_s: float, at: list[float]) -> CounterRecord:
    """Readings of a counter that moves once a period."""
    record = CounterRecord(period_s)
    for moment in at:
        counted_s = moment if not period_s else int(moment / period_s + 1e-9) * period_s
        record.add(moment, power.joules(0.0, counted_s))
    return record


def every(interval_s: float, until_s: float) -> list[float]:
    return [n * interval_s for n in range(int(until_s / interval_s) + 1)]


def test_constant_power_is_exact():
    record = read(Power([(0.0, 250.0)]), 0.0, every(0.05, 4.0))
    found = record.energy(MeasuredWindow(1.013, 3.027, 10))
    assert found is not None
    assert found.value_j == pytest.approx(250.0 * 2.014)


def test_bounds_enclose_the_truth_whatever_the_power_did():
    rng = random.Random(7)
    for _ in range(300):
        steps = [(n * 0.07, rng.uniform(50.0, 700.0)) for n in range(80)]
        power = Power(steps)
        period_s = rng.choice([0.001, 0.02, 0.1])
        record = read(power, period_s, every(rng.choice([0.05, 0.11]), 5.5))
        begin_s = rng.uniform(0.3, 2.0)
        window = MeasuredWindow(begin_s, begin_s + rng.uniform(0.3, 3.0), 8)
        found = record.energy(window)
        assert found is not None
        truth = power.joules(window.from_s, window.to_s)
        assert found.low_j - 1e-6 <= truth <= found.high_j + 1e-6
        assert found.low_j <= found.value_j <= found.high_j


def test_readings_at_the_edges_make_the_bounds_narrow():
    power = Power([(0.0, 60.0), (1.0, 300.0), (3.0, 60.0)])
    window = MeasuredWindow(1.0, 3.0, 20)
    far = read(power, 0.001, every(0.5, 4.0)).energy(window)
    near = read(power, 0.001, sorted({*every(0.5, 4.0), 1.0, 1.002, 3.0, 3.002})).energy(window)
    assert far is not None and near is not None
    assert near.half_width < 0.005 < far.half_width


def test_a_doubtful_edge_makes_the_bounds_wide():
    record = read(Power([(0.0, 100.0)]), 0.0, every(0.01, 4.0))
    sure = record.energy(MeasuredWindow(1.0, 3.0, 20))
    vague = record.energy(MeasuredWindow(1.0, 3.0, 20, edge_s=0.1))
    assert sure is not None and vague is not None
    assert vague.high_j - vague.low_j == pytest.approx(40.0, rel=0.1)
    assert vague.half_width > sure.half_width


def test_a_window_that_began_before_the_first_reading_is_not_known():
    record = read(Power([(0.0, 100.0)]), 0.0, [1.0, 2.0, 3.0])
    assert record.energy(MeasuredWindow(0.5, 2.0, 4)) is None
    assert record.energy(MeasuredWindow(1.5, 3.5, 4)) is None
    assert CounterRecord(0.0).energy(MeasuredWindow(0.0, 1.0, 4)) is None


def test_readings_that_stop_with_the_window_leave_room_for_what_was_not_counted_yet():
    record = read(Power([(0.0, 200.0)]), 0.1, every(0.05, 3.0))
    found = record.energy(MeasuredWindow(1.0, 3.0, 4))
    assert found is not None
    assert found.low_j <= 400.0 <= found.high_j
    assert found.value_j == pytest.approx(400.0, rel=0.03)


def test_devices_of_a_gang_add_up():
    assert Joules(10.0, 9.0, 11.0) + Joules(5.0, 4.0, 7.0) == Joules(15.0, 13.0, 18.0)
