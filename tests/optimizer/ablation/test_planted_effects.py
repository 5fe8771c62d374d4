"""Effects that were planted are found, and effects that were not are not."""

from __future__ import annotations

import functools

import pytest

from optimizer.ablation import ClaimVerdict, Evidence, run
from tests.optimizer.ablation.scripted import ScriptedBench, question

RUNS = 200
MACHINES = {
    "quiet": {"noise": 0.005, "drift": 0.001},
    "usual": {"noise": 0.02, "drift": 0.003},
    "shared": {"noise": 0.02, "drift": 0.003, "bursts": 0.1},
}


@functools.cache
def runs(effect: float, machine: str, low: float, high: float) -> tuple[Evidence, ...]:
    """Ablations of a lever that changes the step time by ``effect``."""
    found = []
    for seed in range(RUNS):
        bench = ScriptedBench(effect=effect, seed=seed, **MACHINES[machine])
        found += run([question(low=low, high=high)], bench, seed=seed)
    return tuple(found)


def holds(evidence: Evidence, effect: float) -> bool:
    low = float("-inf") if evidence.low is None else evidence.low
    high = float("inf") if evidence.high is None else evidence.high
    return low <= effect <= high


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("effect", [0.0, 0.05, 0.3])
def test_the_interval_holds_the_planted_effect_although_one_looks_repeatedly(
    effect: float, machine: str
) -> None:
    found = runs(effect, machine, 0.2, 0.4)

    assert sum(holds(evidence, effect) for evidence in found) >= 0.95 * RUNS


@pytest.mark.parametrize("machine", MACHINES)
def test_without_an_effect_a_claim_of_one_is_never_confirmed(machine: str) -> None:
    found = runs(0.0, machine, 0.05, 0.5)

    assert sum(e.verdict is ClaimVerdict.CONFIRMED for e in found) <= 0.01 * RUNS


@pytest.mark.parametrize("machine", MACHINES)
def test_without_an_effect_a_claim_of_none_is_hardly_ever_refuted(machine: str) -> None:
    found = runs(0.0, machine, 0.0, 0.0)

    assert sum(e.verdict is ClaimVerdict.REFUTED for e in found) <= 0.01 * RUNS


def test_on_a_usual_machine_a_large_effect_is_told_from_none() -> None:
    assert all(e.verdict is ClaimVerdict.CONFIRMED for e in runs(0.3, "usual", 0.2, 0.4))
    assert all(e.verdict is ClaimVerdict.REFUTED for e in runs(0.0, "usual", 0.2, 0.4))


def test_on_a_quiet_machine_no_effect_is_confirmed_as_none() -> None:
    found = runs(0.0, "quiet", 0.0, 0.0)

    assert sum(e.verdict is ClaimVerdict.CONFIRMED for e in found) >= 0.95 * RUNS


def test_a_figure_is_told_with_a_narrow_interval() -> None:
    widths = sorted((e.high or 9.0) - (e.low or -9.0) for e in runs(0.3, "usual", 0.2, 0.4))

    assert widths[RUNS // 2] < 0.12
