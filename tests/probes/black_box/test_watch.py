"""When a command has shown enough, on scripted steps."""

from __future__ import annotations

import pytest

from probes.black_box.steps import Passed
from probes.black_box.watch import StepWatch
from probes.devices.base import MemoryCap
from probes.job import BRACKET_PLAN, CONFIRM_PLAN
from probes.measurement import Purpose, Verdict

MIB = 2**20
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


def test_a_steady_confirmation_ends_after_its_least_steps() -> None:
    watch = StepWatch(CONFIRM_PLAN, CAP)
    assert run(watch, lambda i: 100) <= watch.least_steps + 9
    assert judge(watch, 500) is Verdict.STABLE


def test_quick_steps_are_measured_over_a_second_at_least() -> None:
    """Within a fraction of one they agree with each other, whatever the machine's own pace."""
    watch = StepWatch(CONFIRM_PLAN, CAP)
    assert CONFIRM_PLAN.least_measure_s == 1.0
    run(watch, lambda i: 100, step_s=lambda i: 0.02)
    assert 50 <= watch.evidence.measured <= 50 + watch.least_steps


def test_a_slow_start_is_warm_up() -> None:
    watch = StepWatch(CONFIRM_PLAN, CAP)
    run(watch, lambda i: 100, step_s=lambda i: 2.0 if i < 5 else 0.1)
    assert watch.evidence.warmup_steps >= 9
    assert max(watch.evidence.measured_s) == 0.1


def test_memory_that_grows_by_the_step_is_a_leak() -> None:
    watch = StepWatch(CONFIRM_PLAN, CAP)
    steps = run(watch, lambda i: 100 + i, peak_mib=lambda i: 500 + i)
    assert steps < 140
    assert judge(watch, 500 + steps) is Verdict.LEAK


def test_memory_that_grows_under_a_high_water_mark_that_stands_still_is_no_leak() -> None:
    """It is seen later and later in a step: a real leak raises the mark."""
    watch = StepWatch(CONFIRM_PLAN, CAP)
    assert run(watch, lambda i: 100 + i) > CONFIRM_PLAN.max_measure_steps
    assert judge(watch, 500) is Verdict.STABLE


def test_quick_steps_in_doubt_about_a_leak_go_on_for_up_to_four_times_as_many() -> None:
    watch = StepWatch(CONFIRM_PLAN, CAP)
    assert run(watch, lambda i: 100 + i, step_s=lambda i: 0.02, most=1000) > 790
    assert judge(watch, 500) is Verdict.STABLE


def test_memory_seen_a_moment_late_now_and_then_is_none() -> None:
    """A sample that catches the next step under way is an outlier, not a trend."""
    watch = StepWatch(CONFIRM_PLAN, CAP)
    assert run(watch, lambda i: 100 + 30 * (i % 7 == 3)) <= 60
    assert judge(watch, 500) is Verdict.STABLE


def test_a_log_of_every_tenth_step_counts_ten() -> None:
    watch = StepWatch(CONFIRM_PLAN, CAP)
    assert run(watch, lambda i: 100, stride=10) <= 61
    assert len(watch.evidence.trace().step_s) == len(watch.evidence.held_bytes)


def test_a_loss_that_is_not_finite_ends_it_at_once() -> None:
    watch = StepWatch(CONFIRM_PLAN, CAP)
    watch.begin()
    assert not watch.add(Passed(1, 0.1, 0.1, 0.5), MIB, MIB)
    assert watch.add(Passed(1, 0.1, 0.2, float("nan")), MIB, MIB)


@pytest.mark.parametrize("steps", [1, 5, 20])
def test_too_few_steps_are_not_enough(steps: int) -> None:
    watch = StepWatch(CONFIRM_PLAN, CAP)
    watch.begin()
    for i in range(steps):
        watch.add(Passed(1, 0.1, 0.1 * i), MIB, MIB)
    assert not watch.has_enough
