"""Every verdict, proved by a real fault in a real worker process. Nothing here is mocked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import psutil
import pytest

from probes.job import BRACKET_PLAN, CONFIRM_PLAN, ProbeJob, StepPlan, WorkloadRef
from probes.measurement import CONTRACT, Measurement, Verdict
from probes.prober import Prober
from probes.timeouts import Timeouts

FAULTY = Path(__file__).with_name("faulty.py")
MIB = 2**20
SHORT = replace(CONFIRM_PLAN, half_width=1.0, least_measure_s=0.0)
"""As few steps as a confirmation may have."""
CONFIRM = replace(SHORT, measure_budget_s=1.0, half_width=0.5, max_measure_steps=60)


def probe(
    name: str,
    *,
    batch_size: int = 8,
    limit_mib: int = 512,
    plan: StepPlan = CONFIRM,
    config: dict[str, object] | None = None,
    timeouts: Timeouts | None = None,
) -> Measurement:
    job = ProbeJob(
        WorkloadRef(f"{FAULTY}:{name}"),
        config or {"width": 64},
        batch_size,
        "cpu",
        plan,
        limit_bytes=limit_mib * MIB,
        headroom=0.05,
    )
    if timeouts is not None:
        with Prober(sys.executable, timeouts) as prober:
            return prober.probe(job)
    return shared_prober().probe(job)


@cache
def shared_prober() -> Prober:
    """One for all tests, as for all probes of a study: a fault must not reach the next probe."""
    return Prober(sys.executable)


@pytest.fixture(scope="module", autouse=True)
def _close_the_shared_prober() -> Iterator[None]:
    yield
    shared_prober().close()


def test_stable_comes_with_its_evidence() -> None:
    m = probe("Healthy")
    assert m.verdict is Verdict.STABLE, m.reason
    assert m.step_time is not None and m.step_time.low_s <= m.step_time.mean_s <= m.step_time.high_s
    assert m.steps >= 24 and len(m.trace.step_s) == len(m.trace.held_bytes)
    assert m.peak_bytes is not None and m.cap_bytes is not None and m.peak_bytes <= m.cap_bytes
    assert m.cap_bytes == int(512 * MIB * 0.95)
    assert set(m.phase_peak_bytes) == {"train", "checkpoint"}
    assert m.environment["allocator"]["MALLOC_MMAP_THRESHOLD_"] == "131072"


def test_oom_names_what_it_asked_for() -> None:
    m = probe("Hungry", batch_size=2000, plan=BRACKET_PLAN)
    assert m.verdict is Verdict.OOM
    assert m.requested_bytes is not None and m.requested_bytes > 100 * MIB
    assert m.reason and m.hint
    assert m.peak_bytes is not None and m.cap_bytes is not None and m.peak_bytes <= m.cap_bytes


def test_a_model_larger_than_the_budget_is_oom_while_building() -> None:
    m = probe("HugeModel", batch_size=1, plan=BRACKET_PLAN)
    assert (m.verdict, m.phase) == (Verdict.OOM, "build")
    assert "building" in m.reason


@pytest.mark.parametrize("name", ["KeepsActivations", "KeepsGraph"])
def test_a_leak_says_bytes_per_step_and_when_it_dies(name: str) -> None:
    m = probe(name)
    assert m.verdict is Verdict.LEAK, m.reason
    assert m.growth is not None and 0.9 * MIB < m.growth.bytes_per_step < 2.6 * MIB
    assert m.growth.dies_at_step is not None and 150 < m.growth.dies_at_step < 700
    assert "MiB per step" in m.reason and "out of memory near step" in m.reason
    assert "total_loss += loss" in m.hint


def test_a_leak_of_small_pieces_is_seen_before_the_heap_has_to_grow() -> None:
    m = probe("KeepsSmallPieces", limit_mib=64, plan=SHORT)
    assert m.verdict is Verdict.LEAK, m.reason
    assert m.steps <= 130
    assert m.growth is not None and 64 * 1024 <= m.growth.bytes_per_step < 80 * 1024


def test_one_late_buffer_is_not_a_leak() -> None:
    assert probe("OneLateBuffer").verdict is Verdict.STABLE


def test_a_peak_that_creeps_is_followed_until_it_is_certain_to_fail() -> None:
    m = probe("Creeps", limit_mib=100)
    assert m.verdict is Verdict.OOM
    assert m.steps >= 60, "it went on for as long as the plan allows"
    assert "still rises" in m.reason and m.hint
    assert probe("Creeps", limit_mib=512).verdict is Verdict.STABLE


def test_an_evaluation_that_needs_more_than_training_is_found() -> None:
    m = probe("HungryEvaluation", limit_mib=256, plan=BRACKET_PLAN)
    assert (m.verdict, m.phase) == (Verdict.OOM, "evaluate")


def test_a_nan_loss_is_non_finite_with_the_step() -> None:
    m = probe("Nan")
    assert m.verdict is Verdict.NON_FINITE
    assert "step 4" in m.reason and "nan" in m.reason


@pytest.mark.parametrize("name", ["Hangs", "HangsInBatches"])
def test_a_hang_is_a_timeout_that_says_where(name: str) -> None:
    m = probe(name, timeouts=Timeouts(step_s=0.4))
    assert m.verdict is Verdict.TIMEOUT
    assert "'train'" in m.reason and "step" in m.reason
    assert m.hint


@pytest.mark.parametrize(
    ("name", "words"),
    [("Aborts", "SIGABRT"), ("Killed", "SIGKILL"), ("Segfaults", "SIGSEGV"), ("Exits", "7")],
)
def test_a_death_without_words_is_a_crash_that_names_the_signal(name: str, words: str) -> None:
    m = probe(name)
    assert m.verdict is Verdict.CRASH
    assert words in m.reason


def test_the_output_of_a_worker_that_died_is_kept() -> None:
    assert "about to abort" in probe("Aborts").stderr_tail


def test_a_bug_is_a_crash_with_the_users_own_traceback() -> None:
    m = probe("Bug")
    assert m.verdict is Verdict.CRASH
    assert "faulty.py" in m.stderr_tail and "torch.zeros(3, 3)" in m.stderr_tail


def test_words_in_a_users_error_do_not_make_it_a_memory_problem() -> None:
    assert probe("BadPrimitive").verdict is Verdict.CRASH


def test_a_shape_limit_is_told_from_memory() -> None:
    assert probe("ShapeLimit", batch_size=8, plan=BRACKET_PLAN).verdict is Verdict.STABLE
    m = probe("ShapeLimit", batch_size=65, plan=BRACKET_PLAN)
    assert m.verdict is Verdict.SHAPE_LIMIT, m.reason


def test_an_operation_the_device_cannot_do_is_unsupported() -> None:
    m = probe("Half", plan=BRACKET_PLAN)
    assert m.verdict is Verdict.UNSUPPORTED, m.reason


def test_a_lever_the_model_cannot_do_is_unsupported_with_the_reason() -> None:
    m = probe("Healthy", config={"width": 64, "gradient_checkpointing": True})
    assert m.verdict is Verdict.UNSUPPORTED
    assert "gradient_checkpointing_enable" in m.reason


def test_a_missing_module_is_unsupported_and_named(tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text("import no_such_module_at_all\n\nclass W: pass\n")
    job = ProbeJob(WorkloadRef(f"{file}:W"), {}, 1, "cpu", BRACKET_PLAN, limit_bytes=256 * MIB)
    m = Prober(sys.executable).probe(job)
    assert m.verdict is Verdict.UNSUPPORTED
    assert "no_such_module_at_all" in m.reason


def test_data_that_ends_is_said_to_be_the_data() -> None:
    m = probe("FiniteData", batch_size=8)
    assert (m.verdict, m.phase) == (Verdict.CRASH, "data")
    assert "endless" in m.reason and "batches" in m.reason


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("NotAModel", "model(config) returned a dict; it must return a torch.nn.Module"),
        ("NotALoss", "loss(model, batch) returned a float; it must return a scalar tensor"),
        ("VectorLoss", "shape (8, 64); it must return a scalar"),
        ("DetachedLoss", "without a gradient"),
        ("NotBatches", "batches(config, batch_size) returned a int"),
    ],
)
def test_a_mistake_names_the_method_and_what_it_should_have_returned(name: str, words: str) -> None:
    m = probe(name, plan=BRACKET_PLAN)
    assert m.verdict is Verdict.CRASH
    assert words in m.reason
    assert (m.phase == CONTRACT) == name.endswith("Loss")


def test_noise_on_stdout_does_not_reach_the_answer() -> None:
    m = probe("Noisy", plan=BRACKET_PLAN)
    assert m.verdict is Verdict.STABLE, m.reason
    assert "raw bytes" in m.stdout_tail and len(m.stdout_tail) <= 8192


def test_global_state_of_the_workload_stays_in_its_process() -> None:
    before = Path.cwd()
    clean = probe("Healthy", plan=BRACKET_PLAN)
    assert probe("GlobalState", plan=BRACKET_PLAN).verdict is Verdict.STABLE
    assert Path.cwd() == before
    assert "MALLOC_MMAP_THRESHOLD_" not in os.environ
    after = probe("Healthy", plan=BRACKET_PLAN)
    assert (after.environment, after.first_loss) == (clean.environment, clean.first_loss)


def test_no_process_is_left_behind_even_when_the_workload_forks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TONNAGE_TEST_MARK", "forks-of-this-test")
    job = ProbeJob(WorkloadRef(f"{FAULTY}:Forks"), {"width": 64}, 8, "cpu", BRACKET_PLAN)
    with Prober(sys.executable) as prober:
        assert prober.probe(job).verdict is Verdict.STABLE
        assert len(marked_processes("forks-of-this-test")) == 2, "more than worker and guardian"
    assert not marked_processes("forks-of-this-test")


def marked_processes(mark: str) -> list[psutil.Process]:
    """Running processes, other than this one, with the mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            marked = process.environ().get("TONNAGE_TEST_MARK") == mark
            if marked and process.pid != os.getpid() and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture
def swap(tmp_path: Path) -> bool:
    """A real swap file for the time of a test, where this machine allows one."""
    file = tmp_path / "swap"
    file.write_bytes(b"\0" * 64 * MIB)
    file.chmod(0o600)
    made = subprocess.run(["mkswap", str(file)], capture_output=True, check=False).returncode == 0
    on = (
        made
        and subprocess.run(["swapon", str(file)], capture_output=True, check=False).returncode == 0
    )
    yield on or psutil.swap_memory().total > 0
    if on:
        subprocess.run(["swapoff", str(file)], check=True)


def test_memory_that_goes_to_swap_is_a_spill(swap: bool) -> None:
    if not swap:
        pytest.skip("this machine has no swap and does not allow making one")
    m = probe("Spills")
    assert m.verdict is Verdict.SPILL, m.reason
    assert "swap" in m.reason and m.hint
