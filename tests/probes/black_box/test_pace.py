"""How long a command is waited for, given how its earlier runs showed their steps."""

from __future__ import annotations

from types import SimpleNamespace

from probes.black_box.pace import Pace, allowed_silence_s, allowed_start_s
from probes.black_box.run import CommandRun
from probes.timeouts import ExpectedStep, Timeouts

TIMES = Timeouts()
FAST = ExpectedStep(step_s=0.012, first_s=0.1, measured_s=0.012, measured_at=8)


def test_nothing_known_gets_the_full_time_outs() -> None:
    assert allowed_start_s(TIMES, None, None) == allowed_start_s(TIMES, FAST, None) == 240
    assert allowed_silence_s(TIMES, None, None, gap_s=0.012) == 60


def test_a_start_that_was_quick_gets_three_times_as_long_and_a_step() -> None:
    assert allowed_start_s(TIMES, FAST, Pace(first_sign_s=4.0)) == 3 * 4 + 20


def test_a_slow_start_keeps_the_full_time_out() -> None:
    assert allowed_start_s(TIMES, FAST, Pace(first_sign_s=200.0)) == 240


def test_a_step_of_12_ms_that_is_silent_for_20_s_has_hung() -> None:
    assert allowed_silence_s(TIMES, FAST, Pace(), gap_s=0.012) == 20


def test_an_evaluation_of_a_thousand_steps_between_two_steps_is_waited_for() -> None:
    slower = ExpectedStep(step_s=0.05, first_s=0.1, measured_s=0.05, measured_at=8)
    assert allowed_silence_s(TIMES, slower, Pace(), gap_s=0.05) == 50


def test_lines_that_come_every_hundred_steps_are_waited_for() -> None:
    rare = Pace(steps_per_sign=100)
    assert allowed_silence_s(TIMES, FAST, rare, gap_s=1.2) >= 50 * 1.2 * 0.99
    assert allowed_start_s(TIMES, FAST, rare) >= 50 * 1.2 * 0.99


def test_a_line_that_should_take_longer_than_the_time_outs_is_waited_for_as_well() -> None:
    slow = ExpectedStep(step_s=0.49, first_s=0.5, measured_s=0.015, measured_at=8)
    rare = Pace(first_sign_s=8.0, steps_per_sign=500)
    assert allowed_start_s(TIMES, slow, rare) > 2 * 500 * 0.49 > 240
    assert allowed_silence_s(TIMES, slow, rare, gap_s=0.0) > 2 * 500 * 0.49


def test_one_that_has_just_printed_is_never_waited_for_less() -> None:
    slow = ExpectedStep(step_s=3.1, first_s=3.1, measured_s=0.098, measured_at=8)
    rare = Pace(first_sign_s=60.0, steps_per_sign=500)
    for pace in (rare, Pace(first_sign_s=4.0)):
        printing = allowed_start_s(TIMES, slow, pace, is_printing=True)
        assert printing >= max(240, allowed_start_s(TIMES, slow, pace))


def test_a_rare_line_is_waited_for_after_the_first_one_too() -> None:
    slow = ExpectedStep(step_s=3.1, first_s=3.1, measured_s=0.098, measured_at=8)
    run = SimpleNamespace(
        timeouts=TIMES,
        job=SimpleNamespace(expected_step=slow),
        usual=Pace(first_sign_s=60.0, steps_per_sign=500),
        reader=SimpleNamespace(last_output_s=100.0),
        clock=SimpleNamespace(first=object()),
        watches=SimpleNamespace(evidence=SimpleNamespace(attempted=1)),
        _gap_s=0.0,
    )
    assert CommandRun._late(run, 100.0 + 500 * 3.1, 0.0, 100.0) == ""  # type: ignore[arg-type]
    assert CommandRun._late(run, 10_000.0, 0.0, 100.0) != ""  # type: ignore[arg-type]


def test_the_slowest_of_two_runs_counts_in_each_respect() -> None:
    assert Pace(4.0, 1).slowest(Pace(2.0, 10)) == Pace(4.0, 10)
    assert Pace(4.0, 1).slowest(None) == Pace(4.0, 1)
