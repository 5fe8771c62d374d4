"""A confirmation goes on for a hundred steps if its peak has risen up to the cap, and for up to
four times the most steps of its plan while memory seems to grow and chance explains that as well.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from probes.devices.base import MemoryCap
from probes.job import BRACKET_PLAN, CONFIRM_PLAN
from probes.worker.evidence import DOUBT_BUDGETS, RunEvidence
from probes.worker.lasting import LASTING_STEPS, is_over, next_end, should_last

MIB = 2**20
ROOMY = MemoryCap(1000 * MIB, 1000 * MIB, 0, enforced=True)
MOST = CONFIRM_PLAN.max_measure_steps
CAP = MemoryCap(1000, 1000, 0, enforced=True)


def evidence(first_peak: int, steps: int) -> RunEvidence:
    made = RunEvidence(step_s=[0.1] * (steps + 4), warmup_steps=4)
    made.peaks.append((2, first_peak))
    return made


@pytest.mark.parametrize(
    ("first_peak", "peak", "steps", "goes_on"),
    [
        (980, 995, 24, True),
        (995, 995, 24, False),
        (900, 980, 24, False),
        (980, 995, LASTING_STEPS, False),
    ],
    ids=["risen up to the cap", "stands still", "has room", "has lasted"],
)
def test_it_goes_on_where_the_peak_has_risen_and_has_no_room(
    first_peak: int, peak: int, steps: int, goes_on: bool
) -> None:
    assert should_last(evidence(first_peak, steps), CAP, peak) is goes_on


def test_without_a_step_nothing_is_said() -> None:
    assert not should_last(RunEvidence(), CAP, 999)


def seen(steps: int, per_step: float, noise: float) -> RunEvidence:
    """Memory that varies by ``noise`` bytes, and grows."""
    draw = random.Random(4)
    held = [int(500 * MIB + per_step * i + draw.gauss(0, noise)) for i in range(steps + 4)]
    return RunEvidence(step_s=[0.1] * (steps + 4), warmup_steps=4, held_bytes=held)


def over(made: RunEvidence, spent_s: float = 20.0) -> bool:
    return is_over(made, CONFIRM_PLAN, ROOMY, 900 * MIB, spent_s)


def test_a_run_is_over_at_the_most_steps_of_its_plan_where_nothing_grows() -> None:
    assert not over(seen(MOST - 6, 0, MIB))
    assert over(seen(MOST, 0, MIB))


def test_a_run_that_may_leak_is_doubled_twice_and_is_over_then() -> None:
    doubtful = {steps: seen(steps, 22.0 * MIB / steps, 30 * MIB) for steps in (200, 400, 800)}
    for made in doubtful.values():
        assert made.doubtful_growth(ROOMY.cap_bytes, 900 * MIB) is not None
    assert [over(made) for made in doubtful.values()] == [False, False, True]


def test_a_clear_leak_needs_no_further_steps() -> None:
    assert over(seen(MOST, MIB, 30 * MIB))


def test_a_run_that_may_leak_is_not_doubled_beyond_its_time() -> None:
    made = seen(MOST, 22.0 * MIB / MOST, 30 * MIB)
    assert over(made, DOUBT_BUDGETS * CONFIRM_PLAN.measure_budget_s / 2 + 1)


def test_the_doubled_run_is_asked_again_at_its_end_only() -> None:
    assert [next_end(CONFIRM_PLAN, n) for n in (0, 199, 200, 399, 400)] == [200, 200, 400, 400, 800]
    assert not over(seen(MOST + 6, 0, MIB))


def test_only_a_confirmation_is_doubled() -> None:
    made = seen(MOST, 22.0 * MIB / MOST, 30 * MIB)
    bracket = replace(BRACKET_PLAN, max_measure_steps=MOST)
    assert is_over(made, bracket, ROOMY, 900 * MIB, 1.0)
