"""The whole search on the real CPU worker: what it finds then survives, and it says what binds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from probes.job import BRACKET_PLAN, CONFIRM_PLAN, ProbeJob, StepPlan, WorkloadRef
from probes.max_batch import Ask, Bounds, MaxBatchSearch, run_search
from probes.max_batch.result import MaxBatch
from probes.measurement import Measurement, Purpose, Verdict
from probes.prober import Prober
from probes.timeouts import ExpectedStep, Timeouts

FAULTY = Path(__file__).with_name("faulty.py")
BUDGET = 64 * 2**20
CONFIRM = replace(
    CONFIRM_PLAN,
    measure_steps=12,
    max_measure_steps=24,
    measure_budget_s=0.5,
    half_width=0.5,
    least_measure_s=0.0,
)
SURVIVE = replace(CONFIRM, measure_steps=100, max_measure_steps=100, warmup_steps=4)


@pytest.fixture(scope="module")
def prober() -> Iterator[Prober]:
    with Prober(sys.executable) as opened:
        yield opened


def run(
    prober: Prober,
    name: str,
    batch: int,
    plan: StepPlan,
    headroom: float = 0.05,
    limit: int = BUDGET,
    expected: ExpectedStep | None = None,
) -> Measurement:
    job = ProbeJob(
        WorkloadRef(f"{FAULTY}:{name}"), {"width": 64}, batch, "cpu", plan, limit, headroom
    )
    return prober.probe(replace(job, expected_step=expected))


def search(prober: Prober, name: str, limit: int = BUDGET, **bounds: int) -> MaxBatch:
    def probe(ask: Ask) -> Measurement:
        plan = CONFIRM if ask.purpose is Purpose.CONFIRM else BRACKET_PLAN
        return run(prober, name, ask.batch_size, plan, limit=limit, expected=ask.expected_step)

    limits = Bounds(**{"cap": 4096, **bounds})  # type: ignore[arg-type]
    job = ProbeJob(WorkloadRef(f"{FAULTY}:{name}"), {"width": 64}, 1, "cpu", CONFIRM, limit)
    prior = prober.estimate(job, limits.ceiling)
    return run_search(MaxBatchSearch(limits, prior=prior), probe)


@pytest.mark.parametrize("name", ["LateBurst", "VariableLength", "Contrastive"])
def test_what_is_found_survives_a_hundred_steps_and_little_more_does_not(
    prober: Prober, name: str
) -> None:
    answer = search(prober, name)
    assert answer.max_batch is not None and answer.binding == "memory", answer.reason
    assert answer.lowest_failing is not None
    assert answer.lowest_failing.batch_size <= 1.03 * answer.max_batch + 1
    assert run(prober, name, answer.max_batch, SURVIVE, headroom=0).verdict is Verdict.STABLE
    assert run(prober, name, int(1.2 * answer.max_batch), SURVIVE, headroom=0).verdict is (
        Verdict.OOM
    )


def test_a_shape_limit_is_what_binds(prober: Prober) -> None:
    answer = search(prober, "ShapeLimit", limit=2 * BUDGET, cap=96)
    assert (answer.max_batch, answer.binding) == (64, "shape"), answer.reason


def test_a_hang_above_a_size_is_answered_without_waiting_for_the_whole_time_out() -> None:
    patient = Timeouts(step_s=12.0)
    with Prober(sys.executable, patient) as prober:
        answer = search(prober, "HangsAbove16", cap=64)

    assert answer.max_batch == 16
    hung = [m for m in answer.measurements if m.verdict is Verdict.TIMEOUT]
    assert hung and all("silent for 4 s in phase 'train', step 1" in m.reason for m in hung)
    assert all("at batch" in m.reason and "probe.step_timeout_s" in m.hint for m in hung)


def test_the_end_of_the_data_is_what_binds(prober: Prober) -> None:
    answer = search(prober, "Healthy", dataset_size=50)
    assert (answer.max_batch, answer.binding) == (50, "data"), answer.reason


def test_a_leak_is_not_blamed_on_the_batch(prober: Prober) -> None:
    answer = search(prober, "KeepsActivations", cap=64)
    assert answer.max_batch is None
    assert answer.lowest_failing is not None
    assert answer.lowest_failing.verdict is Verdict.LEAK
    assert answer.lowest_failing.batch_size == 1


def test_a_model_that_does_not_fit_says_by_how_much(prober: Prober) -> None:
    answer = search(prober, "HugeModel")
    assert (answer.max_batch, answer.binding) == (None, "memory")
    assert "building" in answer.reason and "Short by at least" in answer.reason
