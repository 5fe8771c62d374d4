"""When a command has shown enough, on scripted steps."""

from __future__ import annotations

import statistics
from dataclasses import replace

import pytest

from probes.black_box.steps import Passed
from probes.black_box.watch import UNKNOWN_STEPS, StepWatch
from probes.devices.base import MemoryCap
from probes.job import BRACKET_PLAN, CONFIRM_PLAN
from probes.measurement import Purpose, Verdict

MIB = 2**20
PLAN = replace(CONFIRM_PLAN, evaluation_s=0.0)
CAP = MemoryCap(1000 * MIB, 950 * MIB, 0, enforced=True)


def run(
    watch: StepWatch,
    held_mib,
    step_s=lambda i: 0.1,
    stride: int = 1,
    most: int = 500,
    peak_mib=lambda i: 500,
) -> int:
    """Steps until the watch is satisfied."""
    watch.begin()
    now_s = 0.0
    for i in range(0, most, stride):
        now_s += step_s(i) * stride
        held = int(held_mib(i) * MIB)
        if watch.add(Passed(stride, step_s(i), now_s), held, peak_mib(i) * MIB):
            return watch.evidence.attempted
    raise AssertionError("never satisfied")


def judge(watch: StepWatch, peak_mib: float) -> Verdict:
    return watch.evidence.judge(
        Purpose.CONFIRM, CAP, int(peak_mib * MIB), spilled_bytes=0, allocator_retries=0
    )[0]


def test_a_bracket_takes_a_few_steps() -> None:
    watch = StepWatch(BRACKET_PLAN, CAP)
    assert run(watch, lambda i: 100) <= 1 + BRACKET_PLAN.max_steps
    assert watch.has_enough


@pytest.mark.parametrize(("stride", "steps"), [(100, 101), (10, 21)])
def test_a_line_that_tells_of_many_steps_is_a_bracket_by_itself(stride: int, steps: int) -> None:
    watch = StepWatch(BRACKET_PLAN, CAP)
    assert run(watch, lambda i: 100, stride=stride) == steps
    assert watch.has_enough
    assert watch.evidence.step_time(0.05, "cpu") is not None


def test_a_steady_confirmation_ends_after_its_least_steps() -> None:
    watch = StepWatch(PLAN, CAP)
    assert run(watch, lambda i: 100) <= watch.least_steps + 9
    assert judge(watch, 500) is Verdict.STABLE


def test_quick_steps_are_measured_over_a_second_at_least() -> None:
    """Within a fraction of one they agree with each other, whatever the machine's own pace."""
    watch = StepWatch(PLAN, CAP)
    assert CONFIRM_PLAN.least_measure_s == 1.0
    run(watch, lambda i: 100, step_s=lambda i: 0.02)
    assert 50 <= watch.evidence.measured <= 50 + watch.least_steps


def test_a_slow_start_is_warm_up() -> None:
    watch = StepWatch(PLAN, CAP)
    run(watch, lambda i: 100, step_s=lambda i: 2.0 if i < 5 else 0.1)
    assert watch.evidence.warmup_steps >= 9
    assert max(watch.evidence.measured_s) == 0.1


def test_memory_that_grows_by_the_step_is_a_leak() -> None:
    watch = StepWatch(PLAN, CAP)
    steps = run(watch, lambda i: 100 + i, peak_mib=lambda i: 500 + i)
    assert steps < 140
    assert judge(watch, 500 + steps) is Verdict.LEAK


def test_memory_that_grows_under_a_high_water_mark_that_stands_still_is_no_leak() -> None:
    """It is seen later and later in a step: a real leak raises the mark."""
    watch = StepWatch(PLAN, CAP)
    assert run(watch, lambda i: 100 + i) > CONFIRM_PLAN.max_measure_steps
    assert judge(watch, 500) is Verdict.STABLE


def test_quick_steps_in_doubt_about_a_leak_go_on_for_up_to_four_times_as_many() -> None:
    watch = StepWatch(CONFIRM_PLAN, CAP)
    assert run(watch, lambda i: 100 + i, step_s=lambda i: 0.02, most=1000) > 790
    assert judge(watch, 500) is Verdict.STABLE


def test_memory_seen_a_moment_late_now_and_then_is_none() -> None:
    """A sample that catches the next step under way is an outlier, not a trend."""
    watch = StepWatch(PLAN, CAP)
    assert run(watch, lambda i: 100 + 30 * (i % 7 == 3)) <= 60
    assert judge(watch, 500) is Verdict.STABLE


def test_a_log_of_every_tenth_step_counts_ten() -> None:
    watch = StepWatch(PLAN, CAP)
    assert run(watch, lambda i: 100, stride=10) <= 61
    assert len(watch.evidence.trace().step_s) == len(watch.evidence.held_bytes)


def test_a_loss_that_is_not_finite_ends_it_at_once() -> None:
    watch = StepWatch(PLAN, CAP)
    watch.begin()
    assert not watch.add(Passed(1, 0.1, 0.1, 0.5), MIB, MIB)
    assert watch.add(Passed(1, 0.1, 0.2, float("nan")), MIB, MIB)


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_too_few_steps_are_not_enough(steps: int) -> None:
    watch = StepWatch(PLAN, CAP)
    watch.begin()
    for i in range(steps):
        watch.add(Passed(1, 0.1, 0.1 * i), MIB, MIB)
    assert not watch.has_enough


@pytest.mark.parametrize(("steps", "is_accepted"), [(22, True), (14, False)])
def test_a_whole_training_is_accepted_from_half_of_the_measured_steps_on(
    steps: int, is_accepted: bool
) -> None:
    watch = StepWatch(CONFIRM_PLAN, CAP)
    watch.begin()
    for i in range(steps - 1):
        watch.add(Passed(1, 0.1 if i % 2 else 0.3, 0.2 * i), MIB, MIB)
    assert not watch.has_enough
    assert watch.accept_whole_training() is is_accepted
    if is_accepted:
        assert judge(watch, 1) is Verdict.STABLE


# -- the first evaluation ----------------------------------------------------------------------


def confirm(
    ahead: int | None, step_s: float = 0.1, evaluates_at: int | None = None, most: int = 3000
) -> StepWatch:
    """A confirmation with steps of equal length; ``ahead``: steps of an epoch, where printed."""
    watch = StepWatch(CONFIRM_PLAN, CAP)
    watch.begin()
    now_s = 0.0
    for step in range(2, most):
        evaluated = step == evaluates_at
        now_s += step_s + 5 * evaluated
        each_s = step_s + 5 * evaluated
        left = None if ahead is None else max(0, ahead - step)
        if watch.add(Passed(1, each_s, now_s, None, evaluated), 100 * MIB, 500 * MIB, left):
            break
        if watch.has_waited_enough(now_s):
            break
    return watch


def test_a_confirmation_goes_on_to_the_end_of_the_epoch() -> None:
    watch = confirm(ahead=300, evaluates_at=302)
    assert watch.evidence.attempted == 302 and watch.has_evaluated


def test_it_ends_as_usual_after_an_evaluation() -> None:
    watch = confirm(ahead=20, evaluates_at=22)
    assert watch.evidence.attempted <= watch.least_steps + 9


def test_it_does_not_go_on_where_the_epoch_is_too_long() -> None:
    watch = confirm(ahead=100_000)
    assert watch.evidence.attempted <= watch.least_steps + 9 and not watch.has_evaluated


def test_slow_steps_get_three_times_the_least_confirmation() -> None:
    near, far = confirm(ahead=60, step_s=10.0, evaluates_at=61), confirm(ahead=200, step_s=10.0)
    assert near.has_evaluated and near.evidence.attempted == 61
    assert far.evidence.attempted <= far.least_steps + 9


def test_where_nothing_tells_when_an_evaluation_comes_it_has_a_hundred_steps() -> None:
    assert confirm(ahead=None).evidence.attempted == UNKNOWN_STEPS
    assert confirm(ahead=None, evaluates_at=60).evidence.attempted == 60


def test_unknown_and_slow_it_goes_on_for_no_longer_than_half_a_minute() -> None:
    watch = confirm(ahead=None, step_s=1.0)
    assert watch.evidence.attempted <= watch.least_steps + 15


def test_an_evaluation_that_does_not_come_when_it_should_is_not_waited_for_without_end() -> None:
    watch = confirm(ahead=300)
    assert not watch.has_evaluated and watch.has_waited_enough(1e9)
    assert watch.evidence.attempted < 2000


def test_the_evaluation_is_no_part_of_the_time_of_a_step() -> None:
    watch = confirm(ahead=50, evaluates_at=51)
    assert max(watch.evidence.measured_s) == pytest.approx(0.1)


def test_a_mark_that_an_evaluation_raised_is_the_evaluations() -> None:
    watch = StepWatch(CONFIRM_PLAN, CAP)
    watch.begin()
    for step in range(2, 20):
        peak = (500 if step < 12 else 700) * MIB
        watch.add(Passed(1, 0.1, 0.1 * step, None, step == 12), 100 * MIB, peak)
    assert watch.evidence.phase_peaks == {"train": 500 * MIB, "evaluate": 700 * MIB}


def test_a_leak_is_not_waited_on() -> None:
    watch = StepWatch(CONFIRM_PLAN, CAP)
    steps = run(watch, lambda i: 100 + i, peak_mib=lambda i: 500 + i)
    assert steps < 140


def test_memory_that_the_first_evaluation_takes_is_no_creep() -> None:
    watch = StepWatch(CONFIRM_PLAN, CAP)
    watch.begin()
    for step in range(2, 61):
        peak = (500 if step < 60 else 900) * MIB
        watch.add(Passed(1, 0.1, 0.1 * step, None, step == 60), 100 * MIB, peak, 58 - step)
    assert judge(watch, 900) is Verdict.STABLE


def test_in_epochs_of_two_steps_the_small_last_batch_is_not_taken_for_every_step() -> None:
    watch, now_s = StepWatch(CONFIRM_PLAN, CAP), 0.0
    watch.begin()
    for step in range(40):
        is_last = step % 2 == 0
        each_s = 0.005 if is_last else 0.6
        now_s += each_s
        watch.add(Passed(1, each_s, now_s, None, evaluated=not is_last), 100 * MIB, 500 * MIB)
    assert 0.25 < statistics.fmean(watch.evidence.step_s) < 0.35
