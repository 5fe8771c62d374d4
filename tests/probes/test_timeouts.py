"""How long a silent worker is waited for: less where the duration of a step is known."""

from __future__ import annotations

import time

import pytest

from probes.expected_step import expected_step
from probes.max_batch import Ask, Bounds, MaxBatchSearch, run_search
from probes.measurement import Measurement, Purpose, Verdict
from probes.timeouts import ExpectedStep, Patience, Timeouts
from tests.probes.scripted import ScriptedDevice

FAST = ExpectedStep(step_s=0.1, first_s=0.5, measured_s=0.012, measured_at=8)
SLOW = ExpectedStep(step_s=3.0, first_s=10.0, measured_s=1.0, measured_at=8)


def patience(expected: ExpectedStep | None, *messages: dict[str, object]) -> Patience:
    now_s = time.monotonic()
    made = Patience(Timeouts(), now_s, expected)
    for message in messages:
        made.heard(message, now_s)
    return made


def test_a_first_step_that_nothing_is_known_about_gets_the_full_time_out() -> None:
    assert patience(None, {"phase": "train"}).allowed_s() == 300


def test_a_first_step_whose_duration_is_known_gets_a_third_of_the_time_out() -> None:
    assert patience(FAST, {"phase": "train"}).allowed_s() == 20


def test_a_slow_step_gets_fifty_times_its_duration() -> None:
    assert patience(SLOW, {"phase": "train"}).allowed_s() == 150


def test_a_first_step_that_took_long_before_may_do_so_again() -> None:
    slow_start = ExpectedStep(step_s=0.1, first_s=30.0, measured_s=0.1, measured_at=8)
    assert patience(slow_start, {"phase": "train"}).allowed_s() == 150


def test_knowledge_never_raises_the_time_out() -> None:
    endless = ExpectedStep(step_s=100.0, first_s=900.0, measured_s=100.0, measured_at=8)
    assert patience(endless, {"phase": "train"}).allowed_s() == 300
    assert patience(endless, {"phase": "train", "step_s": 1.0}).allowed_s() == 60


def test_later_steps_learn_too_and_one_that_is_slow_here_counts() -> None:
    assert patience(FAST, {"phase": "train", "step_s": 0.1}).allowed_s() == 20
    assert patience(FAST, {"phase": "train", "step_s": 2.0}).allowed_s() == 40


@pytest.mark.parametrize("phase", ["import", "build", "evaluate", "checkpoint"])
def test_what_is_not_a_step_keeps_its_time_out(phase: str) -> None:
    message = {"phase": phase, "step_s": 0.1}
    assert patience(FAST, message).allowed_s() == patience(None, message).allowed_s() >= 60


def test_the_reason_says_which_limit_was_applied_and_why() -> None:
    words = patience(FAST, {"phase": "train"}).words()
    for fact in ("20 s", "step 1", "0.1 s", "batch 8", "0.012 s"):
        assert fact in words


def test_the_expected_step_grows_with_the_batch_and_never_shrinks() -> None:
    run = ScriptedDevice(step_s=lambda b: 0.012)(Ask(8, Purpose.BRACKET))
    larger, smaller = expected_step([run], 256), expected_step([run], 4)
    assert larger is not None and smaller is not None
    assert larger.step_s == pytest.approx(0.012 * 32)
    assert smaller.step_s == pytest.approx(0.012)
    assert (larger.measured_s, larger.measured_at) == (0.012, 8)


def test_nothing_is_expected_before_a_run_has_passed_or_of_a_compiled_model() -> None:
    run = ScriptedDevice()(Ask(8, Purpose.BRACKET))
    failed = ScriptedDevice(faults=lambda b, p: Verdict.CRASH)(Ask(8, Purpose.BRACKET))
    run.config["compile"] = True
    assert expected_step([], 8) is None
    assert expected_step([failed], 8) is None
    assert expected_step([run], 8) is None


@pytest.mark.parametrize("hangs_above", [1, 3, 16, 77])
def test_a_workload_that_hangs_above_a_size_is_answered_within_three_minutes(
    hangs_above: int,
) -> None:
    device = ScriptedDevice(
        step_s=lambda b: 0.0015 * b,
        faults=lambda b, p: Verdict.TIMEOUT if b > hangs_above else None,
    )
    waited_s = 0.0
    known = False

    def probe(ask: Ask) -> Measurement:
        nonlocal waited_s, known
        run = device(ask)
        known = known or run.passed
        if not run.passed and known:
            waited_s += Timeouts().allowed_first_step_s(ask.expected_step)
        return run

    answer = run_search(MaxBatchSearch(Bounds()), probe)
    assert answer.max_batch is not None
    assert 0.97 * hangs_above <= answer.max_batch <= hangs_above
    assert waited_s <= 180
