"""Real gangs of ranks on the CPU, through gloo. Each fault happens on rank 1 of 2 unless said."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from probes.formatting import MIB
from probes.group import Group
from probes.job import CONFIRM_PLAN, ProbeJob, WorkloadRef
from probes.measurement import Measurement, Verdict
from probes.prober import Prober
from probes.timeouts import Timeouts
from tests.warm import WarmEnvironment

FAULTY = Path(__file__).with_name("faulty.py")
PLAN = replace(
    CONFIRM_PLAN, measure_steps=6, max_measure_steps=40, max_warmup_steps=6, measure_budget_s=1.0
)
TIMEOUTS = Timeouts(startup_s=120.0, step_s=4.0, probe_s=240.0)
pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="memory budgets need Linux")


@pytest.fixture(scope="module", autouse=True)
def ranks(tmp_path_factory: pytest.TempPathFactory) -> WarmEnvironment:
    """Workers start quickly in here, and nobody else's do."""
    return WarmEnvironment(tmp_path_factory.mktemp("ranks"), os.getpid(), ("torch",))


@pytest.fixture(scope="module")
def prober(ranks: WarmEnvironment) -> Iterator[Prober]:
    with Prober(ranks.python, TIMEOUTS) as made:
        yield made


def job(
    name: str, ranks: int = 2, options: dict[str, Any] | None = None, **config: Any
) -> ProbeJob:
    group = Group(("cpu",) * ranks)
    return ProbeJob(
        workload=WorkloadRef(f"{FAULTY}:{name}", options or {}),
        config={"layers": 2, "parallel": "ddp", **config},
        batch_size=8,
        device=group.label,
        plan=PLAN,
        limit_bytes=512 * MIB,
        group=group,
    )


def run(prober: Prober, *given: Any, **more: Any) -> Measurement:
    """The measurement; nothing that the gang started may be left."""
    measurement = prober.probe(job(*given, **more))
    assert not ranks_of(prober), "a rank is still there"
    return measurement


def ranks_of(prober: Prober) -> list[psutil.Process]:
    """The processes that train."""
    return WarmEnvironment(Path(prober.python).parents[1], os.getpid()).training()


def test_ranks_are_seen_while_they_train(prober: Prober) -> None:
    """So that ``run`` would notice one that is left."""
    with ThreadPoolExecutor(1) as other:
        measured = other.submit(prober.probe, job("Healthy"))
        most = 0
        while not measured.done():
            most = max(most, len(ranks_of(prober)))
            time.sleep(0.02)
    assert (measured.result().verdict, most) == (Verdict.STABLE, 2)


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_run_that_passes_says_what_each_rank_took(prober: Prober, parallel: str) -> None:
    measurement = run(prober, "Healthy", parallel=parallel)
    assert measurement.verdict is Verdict.STABLE, measurement.reason
    assert [each.rank for each in measurement.ranks] == [0, 1]
    assert [each.verdict for each in measurement.ranks] == [Verdict.STABLE] * 2
    assert all((each.peak_bytes or 0) >= (each.static_bytes or 1) for each in measurement.ranks)
    assert measurement.peak_bytes == max(each.peak_bytes or 0 for each in measurement.ranks)
    assert measurement.device == "cpu:0-1"
    assert measurement.data_parallel == 2
    assert measurement.effective_batch_size == 16
    assert measurement.samples == 16 * measurement.steps
    assert measurement.step_time is not None
    assert (measurement.communication_share is not None) == (parallel == "ddp")


MEMORY = [
    ("HungryInBuild", "build"),
    ("HungryInForward", "train"),
    ("HungryInBackward", "train"),
    ("HungryInOptimizer", "train"),
    ("HungryInEvaluation", "evaluate"),
    ("HungryInCheckpoint", "checkpoint"),
]


@pytest.mark.parametrize(("name", "phase"), MEMORY)
def test_one_rank_that_runs_out_of_memory_is_the_verdict(
    prober: Prober, name: str, phase: str
) -> None:
    measurement = run(prober, name)
    assert measurement.verdict is Verdict.OOM, measurement.reason
    assert measurement.limiting_rank == 1
    assert measurement.phase == phase
    assert measurement.ranks[0].verdict is None


CRASHES = [
    ("Aborts", "SIGABRT"),
    ("Killed", "SIGKILL"),
    ("Exits", "status 0"),
    ("Raises", "labels"),
    ("EndsEarly", "endless"),
    ("CallsUnevenly", "collective"),
]


def is_named(measurement: Measurement, fact: str) -> None:
    assert measurement.verdict is Verdict.CRASH, measurement.reason
    assert measurement.limiting_rank == 1
    assert fact in measurement.reason
    assert "Rank 1 of 2" in measurement.reason


@pytest.mark.parametrize(("name", "fact"), CRASHES)
def test_the_rank_that_dies_is_named_with_its_own_reason(
    prober: Prober, name: str, fact: str
) -> None:
    is_named(run(prober, name), fact)


def test_a_rank_in_a_session_of_its_own_is_ended_too() -> None:
    with Prober(timeouts=TIMEOUTS) as real:  # a warm worker is no child of its guardian
        is_named(real.probe(job("LeavesChildren")), "SIGKILL")
    assert not [
        p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", "600"]
    ]


SILENT = [
    ("Hangs", "go_wrong", "rank 0 waited"),
    ("Stopped", "stopped", "Rank 1"),
    ("CallsOneMore", "barrier", "rank 0 waited"),
]


@pytest.mark.parametrize(("name", "fact", "other"), SILENT)
def test_of_ranks_that_wait_for_each_other_the_one_that_holds_up_is_named(
    prober: Prober, name: str, fact: str, other: str
) -> None:
    measurement = run(prober, name)
    assert measurement.verdict is Verdict.TIMEOUT, measurement.reason
    assert measurement.limiting_rank == 1
    assert fact in measurement.reason
    assert other in measurement.reason


def test_a_leak_on_one_rank_is_a_leak(prober: Prober) -> None:
    leaking = replace(job("Leaks"), plan=replace(PLAN, measure_steps=24))
    measurement = prober.probe(leaking)
    assert (measurement.verdict, measurement.limiting_rank) == (Verdict.LEAK, 1)
    assert measurement.ranks[0].verdict is Verdict.STABLE


def test_a_loss_that_is_no_number_is_that_of_the_rank_where_it_began(prober: Prober) -> None:
    measurement = run(prober, "NotANumber")
    assert (measurement.verdict, measurement.limiting_rank) == (Verdict.NON_FINITE, 1)
    assert "step 3" in measurement.reason


def test_a_rank_that_never_comes_to_train_is_named(
    prober: Prober, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(prober, "Healthy")  # the workers are there, so that only the build takes time
    monkeypatch.setattr(prober, "timeouts", replace(TIMEOUTS, startup_s=8.0))
    measurement = run(prober, "HangsInBuild")
    assert (measurement.verdict, measurement.limiting_rank) == (Verdict.TIMEOUT, 1)
    assert "building the model" in measurement.reason


@pytest.mark.parametrize(
    ("name", "verdict"), [("HungryInBackward", Verdict.OOM), ("Killed", Verdict.CRASH)]
)
def test_of_four_ranks_the_right_one_is_named(
    name: str, verdict: Verdict, ranks: WarmEnvironment
) -> None:
    with Prober(ranks.python, TIMEOUTS) as four:
        measurement = run(four, name, 4, {"rank": 2})
    assert (measurement.verdict, measurement.limiting_rank) == (verdict, 2)
    assert len(measurement.ranks) == 4


def test_ranks_can_have_micro_batches_and_budgets_of_their_own(prober: Prober) -> None:
    uneven = job("Healthy")
    group = Group(("cpu", "cpu"), batch_sizes=(24, 8), limits=(512 * MIB, 256 * MIB))
    measurement = prober.probe(replace(uneven, group=group, batch_size=24))
    assert measurement.passed, measurement.reason
    assert [each.batch_size for each in measurement.ranks] == [24, 8]
    assert [each.limit_bytes for each in measurement.ranks] == [512 * MIB, 256 * MIB]
    assert measurement.effective_batch_size == 32


def test_what_a_group_cannot_do_is_unsupported(prober: Prober) -> None:
    odd = run(prober, "Healthy", parallel="tp", tensor_parallel=3)
    assert odd.verdict is Verdict.UNSUPPORTED
    assert "tensor_parallel=3" in odd.reason
    unplanned = run(prober, "Healthy", parallel="tp", tensor_parallel=2)
    assert unplanned.verdict is Verdict.UNSUPPORTED
    assert "parallelize" in unplanned.reason


def test_a_stopped_gang_leaves_no_file(prober: Prober) -> None:
    before = set(Path("/tmp").glob("tonnage-ranks-*"))
    run(prober, "Killed")
    assert set(Path("/tmp").glob("tonnage-ranks-*")) == before


def test_the_other_ranks_are_gone_soon_after_the_verdict(prober: Prober) -> None:
    run(prober, "Healthy")  # the workers are there
    began_s = time.monotonic()
    measurement = run(prober, "Raises")
    ended_s = time.monotonic()
    assert measurement.limiting_rank == 1
    assert ended_s - began_s < TIMEOUTS.startup_s, "it waited for a rank that could not go on"
    assert not ranks_of(prober)


def test_tensor_parallelism_follows_the_workloads_plan(prober: Prober) -> None:
    measurement = run(prober, "Planned", parallel="tp", tensor_parallel=2)
    assert measurement.passed, measurement.reason
    assert measurement.data_parallel == 1
    assert measurement.effective_batch_size == 8


ADVICE = [("Unused", "ddp", "ddp_find_unused"), ("CallsParts", "fsdp", "model(...)")]


@pytest.mark.parametrize(("name", "parallel", "advice"), ADVICE)
def test_what_a_model_does_that_ranks_cannot_is_answered_with_advice(
    prober: Prober, name: str, parallel: str, advice: str
) -> None:
    measurement = run(prober, name, parallel=parallel)
    assert measurement.verdict is Verdict.UNSUPPORTED, measurement.reason
    assert advice in measurement.hint


def test_parameters_without_gradients_can_be_looked_for(prober: Prober) -> None:
    measurement = run(prober, "Unused", ddp_find_unused=True)
    assert measurement.passed, measurement.reason


def test_gradients_are_exchanged_and_weighted_by_the_samples(prober: Prober) -> None:
    """All ranks end with the same weights, though each saw other data, and other amounts of it."""
    group = Group(("cpu", "cpu"), batch_sizes=(12, 4))
    asked = replace(job("TellsWeights"), group=group, batch_size=12)
    measurement = prober.probe(asked)
    assert measurement.passed, measurement.reason


def test_a_workload_knows_its_rank_when_it_is_imported(prober: Prober) -> None:
    measurement = run(prober, "AsksAtImport")
    assert measurement.passed, measurement.reason


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_a_model_may_be_trained_by_a_method_of_its_own(prober: Prober, parallel: str) -> None:
    measurement = run(prober, "StepsByAMethod", parallel=parallel)
    assert measurement.passed, measurement.reason
