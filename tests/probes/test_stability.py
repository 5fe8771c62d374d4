"""The rules that tell a stable run from one that dies later, on curves made up for each."""

from __future__ import annotations

import math
import random

import pytest

from probes.stability import (
    CLEAR_Z,
    MOST_POINTS,
    OWN_GROWTH_BYTES,
    clear_growth,
    has_settled,
    held_growth,
    held_halves,
    is_leak,
    keeps_pace,
    levels_off,
    may_still_leak,
    peak_ahead,
    serial_widening,
    still_creeps,
)

MIB = 2**20
CAP = 1000 * MIB


def flat(steps: int, level: int = 500 * MIB) -> list[int]:
    return [level] * steps


def leaking(steps: int, per_step: float, noise: float = 0.0, seed: int = 0) -> list[int]:
    draw = random.Random(seed)
    return [int(500 * MIB + i * per_step + abs(draw.gauss(0, noise))) for i in range(steps)]


def test_equal_memory_is_no_growth() -> None:
    growth = held_growth(flat(24), CAP, 600 * MIB)
    assert (growth.bytes_per_step, growth.low, growth.high) == (0.0, 0.0, 0.0)
    assert growth.dies_at_step is None and not is_leak(growth)


def test_a_leak_is_reported_with_bytes_per_step_and_the_step_it_dies_at() -> None:
    growth = held_growth(leaking(24, MIB), CAP, 600 * MIB)
    assert growth.bytes_per_step == MIB
    assert growth.dies_at_step == 24 + 400
    assert is_leak(growth)


def test_one_late_allocation_is_a_step_and_not_a_leak() -> None:
    growth = held_growth([*flat(12), *flat(12, 600 * MIB)], CAP, 700 * MIB)
    assert growth.low == 0.0 and not is_leak(growth)


def test_what_the_measuring_leaves_behind_is_not_a_leak_however_little_room_there_is() -> None:
    growth = held_growth(leaking(24, 300.0), CAP, CAP - MIB)
    assert growth.low == 300.0 and not is_leak(growth)


def test_a_creep_that_ends_nowhere_near_is_not_a_leak() -> None:
    assert not is_leak(held_growth(leaking(24, 2000.0), CAP, 600 * MIB))


@pytest.mark.parametrize("steps", [MOST_POINTS, MOST_POINTS + 1, 10 * MOST_POINTS - 1])
def test_a_long_run_has_the_same_trend_from_fewer_points(steps: int) -> None:
    growth = held_growth(leaking(steps, 3000.0, noise=3 * MIB), CAP, 600 * MIB)
    assert growth.steps == steps
    assert growth.low <= 3000.0 <= growth.high
    assert growth.bytes_per_step == pytest.approx(3000.0, abs=3 * MIB / math.sqrt(steps))


def test_the_last_steps_count_in_a_long_run() -> None:
    steps = 3 * MOST_POINTS
    late = [*flat(steps - 1), 900 * MIB]
    assert held_growth(late, CAP, 600 * MIB).steps == steps
    lifted = held_growth([0] * (steps // 3) + [MIB * i for i in range(steps * 2 // 3)], CAP, 0)
    assert lifted.bytes_per_step > 0.8 * MIB


def test_memory_that_never_moves_cannot_be_a_leak() -> None:
    assert not may_still_leak(held_growth(flat(24), CAP, 900 * MIB), room_bytes=0.0)


def test_a_short_noisy_run_cannot_rule_out_a_leak_and_a_long_one_can() -> None:
    room = 0.05 * CAP
    short = held_growth(leaking(24, 0.0, noise=10 * MIB), CAP, 900 * MIB)
    long = held_growth(leaking(200, 0.0, noise=10 * MIB), CAP, 900 * MIB)
    assert may_still_leak(short, room)
    assert not may_still_leak(long, room)


def test_a_leak_hidden_in_noise_is_kept_open_until_it_is_certain() -> None:
    run = leaking(200, 0.2 * MIB, noise=15 * MIB, seed=1)
    undecided, decided = (held_growth(run[:n], CAP, 900 * MIB) for n in (24, 200))
    assert not is_leak(undecided) and may_still_leak(undecided, 0.05 * CAP)
    assert is_leak(decided)


def test_a_high_water_mark_that_rises_in_the_later_half_still_creeps() -> None:
    assert still_creeps(900 * MIB, 910 * MIB, CAP)
    assert not still_creeps(900 * MIB, 902 * MIB, CAP)


def test_as_much_again_is_expected_of_a_longer_run() -> None:
    assert peak_ahead(900 * MIB, 930 * MIB) == 960 * MIB
    assert peak_ahead(930 * MIB, 930 * MIB) == 930 * MIB


@pytest.mark.parametrize("steps_to_settle", [20, 50, 100])
def test_the_expected_peak_covers_a_creep_that_levels_off(steps_to_settle: int) -> None:
    def peak(steps: int) -> int:
        return int((800 + 200 * (1 - math.exp(-steps / steps_to_settle))) * MIB)

    # A run is doubled from 36 steps on while it still creeps, up to 200 steps.
    steps = 36
    while still_creeps(peak(steps // 2), peak(steps), CAP) and 2 * steps <= 200:
        steps *= 2
    ahead = peak_ahead(peak(steps // 2), peak(steps))
    assert ahead >= 0.97 * peak(100_000)


def test_memory_has_settled_when_its_windows_do_not_rise() -> None:
    assert has_settled(flat(24), CAP)
    assert not has_settled(leaking(24, MIB), CAP)
    assert not has_settled(flat(7), CAP)


@pytest.mark.parametrize("steps", [30, 60, 120, 200])
@pytest.mark.parametrize("steps_to_settle", [10, 50, 100])
def test_a_creep_that_levels_off_does_not_keep_its_pace(steps: int, steps_to_settle: int) -> None:
    curve = [int(500 * MIB * (2 - math.exp(-i / steps_to_settle))) for i in range(steps)]
    assert not keeps_pace(*held_halves(curve))


@pytest.mark.parametrize("steps", [30, 60, 120, 200])
def test_a_leak_keeps_its_pace_and_never_levels_off(steps: int) -> None:
    halves = held_halves(leaking(steps, 0.5 * MIB))
    assert keeps_pace(*halves) and not levels_off(*halves)


@pytest.mark.parametrize("seed", range(10))
def test_a_leak_in_noise_is_not_said_to_level_off(seed: int) -> None:
    assert not levels_off(*held_halves(leaking(200, 0.3 * MIB, noise=15 * MIB, seed=seed)))


def test_a_creep_that_is_over_has_levelled_off() -> None:
    curve = [int(500 * MIB * (2 - math.exp(-i / 20))) for i in range(200)]
    assert levels_off(*held_halves(curve))
    assert is_leak(held_growth(curve, 2000 * MIB, 1000 * MIB)), "by its trend alone it is one"


def test_memory_that_stands_still_keeps_no_pace() -> None:
    assert not keeps_pace(*held_halves(flat(100)))


def wandering(steps: int, serial: float, seed: int) -> list[int]:
    """Memory that does not grow, and resembles itself from one step to the next."""
    draw, state, held = random.Random(seed), 0.0, []
    for _ in range(steps):
        state = serial * state + draw.gauss(0, 1)
        held.append(int(500 * MIB + 10 * MIB * state))
    return held


def test_a_leak_without_noise_is_clear_after_the_first_measured_steps() -> None:
    growth = clear_growth(leaking(24, 3000.0), CAP, 900 * MIB)
    assert growth.low == growth.bytes_per_step == 3000.0


@pytest.mark.parametrize("lump", [2, 4, 8, 16])
def test_a_leak_in_lumps_is_clear_after_a_hundred_steps(lump: int) -> None:
    held = [500 * MIB + lump * MIB * (i // lump) for i in range(100)]
    assert is_leak(clear_growth(held, CAP, 900 * MIB))


def test_noise_alone_is_hardly_ever_clear_where_it_often_seems_to_grow() -> None:
    runs = [leaking(60, 0.0, noise=5 * MIB, seed=seed) for seed in range(400)]
    seems = sum(held_growth(run, CAP, 900 * MIB).low > OWN_GROWTH_BYTES for run in runs)
    assert seems >= 4
    assert not any(is_leak(clear_growth(run, CAP, 900 * MIB)) for run in runs)


@pytest.mark.parametrize(("serial", "most"), [(0.5, 1), (0.9, 6)])
def test_memory_that_wanders_is_seldom_clear_although_its_trend_is_certain(
    serial: float, most: int
) -> None:
    runs = [wandering(120, serial, seed) for seed in range(150)]
    at_the_same_z = sum(held_growth(run, CAP, 900 * MIB, CLEAR_Z).low > 0 for run in runs)
    clear = sum(clear_growth(run, CAP, 900 * MIB).low > 0 for run in runs)
    assert clear <= most
    assert clear < at_the_same_z


def test_an_interval_is_widened_by_what_neighbours_have_in_common() -> None:
    steps = range(200)
    assert serial_widening([(i, 5000 * i) for i in steps], 5000) == 1.0
    independent = random.Random(0)
    noise = [(i, independent.gauss(0, MIB)) for i in steps]
    assert serial_widening(noise, 0) < 1.3
    wave = [(i, MIB * math.sin(i / 10)) for i in steps]
    assert serial_widening(wave, 0) == pytest.approx(math.sqrt(1.9 / 0.1))
