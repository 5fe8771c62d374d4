"""What memory at step boundaries means for the verdict of a workload's run."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import pytest

from probes.devices.base import MemoryCap
from probes.measurement import Purpose, Verdict
from probes.worker.evidence import RunEvidence

MIB = 2**20
CAP = MemoryCap(1000 * MIB, 950 * MIB, 0, enforced=True)
STEPS = 200


def run(held: Callable[[int], float], peak_bytes: int) -> tuple[Verdict, str, list[str]]:
    """Verdict, reason and remarks of a run that holds so much after each step, under a peak that
    the worst case has set at its start."""
    evidence = RunEvidence(attempted=STEPS, static_bytes=int(held(0)))
    for step in range(STEPS):
        evidence.step_s.append(0.1)
        evidence.held_bytes.append(int(held(step)))
        evidence.peaks.append((step + 1, peak_bytes))
        if step == 3:
            evidence.end_warm_up()
    verdict, reason, _ = evidence.judge(
        Purpose.CONFIRM, CAP, peak_bytes, spilled_bytes=0, allocator_retries=0
    )
    return verdict, reason, evidence.remarks(CAP, peak_bytes)


def creep(step: int) -> float:
    return 100 * MIB + 50 * MIB * (1 - math.exp(-step / 60))


def test_growth_that_keeps_its_pace_is_a_leak() -> None:
    verdict, reason, _ = run(lambda step: 100 * MIB + 0.1 * MIB * step, 600 * MIB)
    assert verdict is Verdict.LEAK and "102 KiB per step" in reason


def test_growth_that_levels_off_is_none_and_is_noted() -> None:
    verdict, _, remarks = run(creep, 600 * MIB)
    assert verdict is Verdict.STABLE
    assert len(remarks) == 1 and "more and more slowly" in remarks[0]


def test_growth_that_levels_off_beyond_the_cap_is_out_of_memory() -> None:
    verdict, reason, _ = run(creep, 946 * MIB)
    assert verdict is Verdict.OOM and "still rises" in reason


def test_growth_too_small_to_matter_is_stable_with_a_note_that_names_it() -> None:
    verdict, _, remarks = run(lambda step: 100 * MIB + 2150 * step, 130 * MIB)
    assert verdict is Verdict.STABLE
    assert len(remarks) == 1
    assert "2.1 KiB per step" in remarks[0] and "400,000 steps" in remarks[0]


def test_the_same_growth_close_to_the_cap_matters() -> None:
    verdict, _, _ = run(lambda step: 100 * MIB + 2150 * step, 940 * MIB)
    assert verdict is Verdict.LEAK


def test_memory_that_stands_still_needs_no_remark() -> None:
    assert run(lambda step: 100 * MIB, 600 * MIB)[::2] == (Verdict.STABLE, [])


def noisy(per_step: float, noise: float) -> Callable[[int], float]:
    draw = random.Random(0)
    return lambda step: 100 * MIB + per_step * step + draw.gauss(0, noise)


def test_a_growth_that_chance_explains_as_well_is_stable_with_a_note_and_its_numbers() -> None:
    verdict, _, remarks = run(noisy(0.07 * MIB, 20 * MIB), 600 * MIB)
    assert verdict is Verdict.STABLE
    assert len(remarks) == 1
    assert "cannot tell" in remarks[0]
    assert "per step" in remarks[0] and "near step" in remarks[0]


def test_memory_that_varies_too_much_to_rule_out_a_leak_has_a_note() -> None:
    verdict, _, remarks = run(noisy(0, 100 * MIB), 949 * MIB)
    assert verdict is Verdict.STABLE
    assert len(remarks) == 1 and "not rule out" in remarks[0]


def ran_out_of_memory(
    held: Callable[[int], float], steps: int, requested_bytes: int
) -> Verdict | None:
    """The verdict of a run whose allocation failed after this many measured steps."""
    evidence = RunEvidence(attempted=steps + 1, static_bytes=int(held(0)))
    evidence.step_s = [0.01] * steps
    evidence.held_bytes = [int(held(step)) for step in range(steps)]
    judgement = evidence.leaked(CAP, CAP.cap_bytes - MIB, requested_bytes)
    return judgement and judgement[0]


def test_running_out_of_memory_after_a_steady_growth_is_a_leak() -> None:
    assert ran_out_of_memory(lambda step: MIB * step, 60, 8 * MIB) is Verdict.LEAK


@pytest.mark.parametrize(
    ("held", "steps", "requested_bytes"),
    [
        pytest.param(lambda step: 50 * MIB, 60, MIB, id="memory stood still"),
        pytest.param(lambda step: MIB * step, 10, MIB, id="too few steps to tell"),
        pytest.param(lambda step: MIB * step, 60, 90 * MIB, id="too large without the growth"),
        pytest.param(creep, 60, MIB, id="the growth levels off"),
    ],
)
def test_running_out_of_memory_for_another_reason_is_no_leak(
    held: Callable[[int], float], steps: int, requested_bytes: int
) -> None:
    assert ran_out_of_memory(held, steps, requested_bytes) is None
