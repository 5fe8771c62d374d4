"""The max-batch search on scripted devices: right, in few probes, and honest about why."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.max_batch import MAX_PROBES, Ask, Bounds, MaxBatchSearch, run_search
from probes.max_batch.result import MaxBatch
from probes.measurement import CONTRACT, EPOCH_SAMPLES, UNSEEN, Measurement, Purpose, Verdict
from tests.probes.scripted import MIB, ScriptedDevice


def search(device: ScriptedDevice, **bounds: object) -> MaxBatch:
    return run_search(MaxBatchSearch(Bounds(**bounds)), device)  # type: ignore[arg-type]


def true_edge(device: ScriptedDevice, ceiling: int = 100_000) -> int:
    low, high = 0, ceiling
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high) if device.memory(middle) <= device.cap_bytes else (low, middle - 1)
        )
    return low


def test_linear_memory_is_found_within_the_resolution_in_five_probes() -> None:
    device = ScriptedDevice(memory=lambda b: (100 + 0.83 * b) * MIB)
    answer = search(device)
    assert answer.max_batch is not None
    assert 0.97 * true_edge(device) <= answer.max_batch <= true_edge(device)
    assert answer.binding == "memory"
    assert answer.probes <= 5


def test_the_answer_has_a_passing_confirmation_and_a_failing_probe_above_it() -> None:
    answer = search(ScriptedDevice())
    assert answer.highest_passing is not None and answer.lowest_failing is not None
    assert answer.highest_passing.purpose is Purpose.CONFIRM
    assert answer.highest_passing.batch_size == answer.max_batch == 90
    assert answer.lowest_failing.verdict is Verdict.OOM
    assert answer.lowest_failing.batch_size <= 90 * 1.03 + 1


@pytest.mark.parametrize(
    ("name", "memory"),
    [
        ("staircase", lambda b: (100 + 40 * math.ceil(b / 32)) * MIB),
        ("quadratic", lambda b: (50 + 0.5 * b + 0.004 * b * b) * MIB),
        ("huge constant", lambda b: (950 + 0.1 * b) * MIB),
        ("piecewise", lambda b: (100 + b + max(0, b - 200) * 4) * MIB),
        ("concave", lambda b: (100 + 40 * math.sqrt(b)) * MIB),
        ("tiny slope", lambda b: (10 + 0.02 * b) * MIB),
    ],
)
def test_other_shapes_of_memory_are_found_too(name: str, memory: object) -> None:
    device = ScriptedDevice(memory=memory)  # type: ignore[arg-type]
    answer = search(device, cap=100_000)
    edge = true_edge(device)
    assert answer.max_batch is not None
    assert 0.95 * edge <= answer.max_batch <= edge, name
    assert answer.probes <= 14


def test_nothing_fits_is_said_with_the_reason() -> None:
    answer = search(ScriptedDevice(memory=lambda b: (2000 + b) * MIB))
    assert answer.max_batch is None
    assert answer.binding == "memory"
    assert answer.lowest_failing is not None and answer.lowest_failing.batch_size == 1
    assert "batch 1 fails" in answer.reason


@pytest.mark.parametrize("start", [1, 8])
def test_a_loss_that_is_no_scalar_is_refused_whatever_the_batch(start: int) -> None:
    """One number per sample: at batch 1 it passes for a scalar."""
    device = ScriptedDevice()

    def vector_loss(ask: Ask) -> Measurement:
        found = device(ask)
        if ask.batch_size == 1:
            return found
        wrong = {"verdict": Verdict.CRASH, "reason": "no scalar.", "phase": CONTRACT, "steps": 0}
        return replace(found, **wrong)

    answer = run_search(MaxBatchSearch(Bounds(), start=start), vector_loss)
    assert (answer.max_batch, answer.binding, answer.highest_passing) == (None, None, None)
    assert "no scalar" in answer.reason
    assert [m.phase for m in answer.measurements].count(CONTRACT) == 1


def test_only_batch_one_fits() -> None:
    answer = search(ScriptedDevice(memory=lambda b: 600 * b * MIB, static_bytes=0))
    assert (answer.max_batch, answer.binding) == (1, "memory")


def test_the_data_set_binds() -> None:
    answer = search(ScriptedDevice(), dataset_size=40)
    assert (answer.max_batch, answer.binding) == (40, "data")
    assert answer.lowest_failing is None


def test_the_data_set_binds_whose_size_a_run_tells() -> None:
    device = ScriptedDevice()

    def counts_up(ask: Ask) -> Measurement:
        found = device(ask)
        return replace(found, environment={EPOCH_SAMPLES: 39}) if len(device.asked) > 1 else found

    answer = run_search(MaxBatchSearch(Bounds()), counts_up)
    assert (answer.max_batch, answer.binding) == (39, "data")
    assert "39" in answer.reason
    assert answer.lowest_failing is None


def test_a_training_that_ends_too_early_at_large_batches_is_confirmed_where_it_is_long_enough() -> (
    None
):
    """Ten epochs of 1200 samples: batches of more than 428 have fewer than 28 steps or so."""
    device = ScriptedDevice(memory=lambda b: 100 * MIB + b * 1024)

    def ends_early(ask: Ask) -> Measurement:
        steps, found = 10 * math.ceil(1200 / ask.batch_size), device(ask)
        if ask.purpose is not Purpose.CONFIRM or steps >= 28:
            return found
        return replace(found, verdict=Verdict.CRASH, phase="data", steps=steps)

    answer = run_search(MaxBatchSearch(Bounds(dataset_size=1200)), ends_early)
    assert (answer.max_batch, answer.binding) == (428, "data")
    assert answer.probes <= 6


def test_a_program_that_prints_rarely_is_searched_just_below_the_epochs_it_hides() -> None:
    """One line every ten steps, in epochs of 3000 samples: nothing is seen of 334 and more."""
    device = ScriptedDevice(memory=lambda b: 100 * MIB + b * 1024)

    def prints_rarely(ask: Ask) -> Measurement:
        found = device(ask)
        if math.ceil(3000 / ask.batch_size) >= 10:
            return found
        return replace(found, verdict=Verdict.CRASH, phase="data", steps=0)

    answer = run_search(MaxBatchSearch(Bounds()), prints_rarely)
    assert answer.binding == "data" and answer.max_batch is not None
    assert 0.97 * 333 <= answer.max_batch <= 333
    assert answer.probes <= 10
    assert min(m.batch_size for m in answer.measurements[3:]) >= 256


def test_a_failure_that_is_nearly_close_enough_is_not_probed_again_a_little_lower() -> None:
    """Batch 418 was ended at a peak that puts the edge at 408: 406 is near enough to 418."""
    device = ScriptedDevice(memory=lambda b: (31.5 + 0.1292 * b) * MIB, cap_bytes=845 * MIB // 10)
    search = MaxBatchSearch(Bounds())
    for batch_size in (8, 114, 259):
        search.tell(device(Ask(batch_size, Purpose.BRACKET)))
    failed = replace(device(Ask(418, Purpose.BRACKET)), peak_bytes=858 * MIB // 10)
    search.tell(failed)
    ask = search.ask()
    assert ask is not None and (ask.batch_size, ask.purpose) == (406, Purpose.CONFIRM)


def test_an_evaluation_that_smaller_batches_do_not_come_to_ends_the_search() -> None:
    device = ScriptedDevice(memory=lambda b: (100 + 10 * b) * MIB)

    def never_evaluates(ask: Ask) -> Measurement:
        found = device(ask)
        if ask.purpose is Purpose.BRACKET or not found.passed:
            return found
        if len([m for m in device.asked if m[1] == "confirm"]) == 1:
            return replace(found, verdict=Verdict.OOM, phase="evaluate", steps=40)
        return replace(found, verdict=Verdict.TIMEOUT, phase=UNSEEN, steps=100)

    answer = run_search(MaxBatchSearch(Bounds()), never_evaluates)
    assert (answer.max_batch, answer.binding) == (None, "failure")
    assert answer.probes <= 7


@given(
    effective=st.sampled_from([None, 16, 32, 48, 64, 96]),
    start=st.sampled_from([8, 16, 32]),
    per_sample=st.floats(3.0, 400.0),
)
@settings(max_examples=200, deadline=None)
def test_no_probe_is_asked_for_twice_and_none_below_what_passes(
    effective: int | None, start: int, per_sample: float
) -> None:
    device = ScriptedDevice(memory=lambda b: (100 + per_sample * b) * MIB)
    search = MaxBatchSearch(Bounds(effective_batch_size=effective), start=start)
    answer = run_search(search, device)
    assert len(set(device.asked)) == len(device.asked)
    edge = true_edge(device, effective or 4096)
    useful = Bounds(effective_batch_size=effective).useful(edge) if edge else 0
    assert (answer.max_batch or 0) >= min(useful, 0.97 * edge)


def test_the_cap_binds_when_memory_does_not_grow() -> None:
    answer = search(ScriptedDevice(memory=lambda b: 100 * MIB), cap=4096)
    assert (answer.max_batch, answer.binding) == (4096, "cap")


def test_time_binds_before_memory() -> None:
    answer = search(ScriptedDevice(step_s=lambda b: 0.01 + 0.01 * b), longest_step_s=0.5)
    assert answer.binding == "time"
    assert answer.max_batch is not None and 47 <= answer.max_batch <= 49
    assert answer.lowest_failing is not None and answer.lowest_failing.passed


@pytest.mark.parametrize("slower", [1.02, 1.1, 1.3, 1.6, 2.0])
@pytest.mark.parametrize("per_sample_s", [0.0005, 0.001, 0.002, 0.005])
def test_steps_that_are_slower_in_a_long_run_are_found_in_few_probes(
    slower: float, per_sample_s: float
) -> None:
    def step_s(batch: int, purpose: Purpose) -> float:
        short = 0.005 + per_sample_s * batch
        return short * slower if purpose is Purpose.CONFIRM else short

    device, longest_step_s = ScriptedDevice(memory=lambda b: 100 * MIB), 0.0512

    def probe(ask: Ask) -> Measurement:
        device.step_s = lambda batch: step_s(batch, ask.purpose)
        return device(ask)

    answer = run_search(MaxBatchSearch(Bounds(longest_step_s=longest_step_s)), probe)
    edge = max(b for b in range(1, 100) if step_s(b, Purpose.CONFIRM) <= longest_step_s)
    assert answer.max_batch is not None and math.floor(0.97 * edge) <= answer.max_batch <= edge
    assert (answer.binding, answer.probes <= 10) == ("time", True)


def test_memory_binds_before_time() -> None:
    answer = search(ScriptedDevice(step_s=lambda b: 0.01 * b), longest_step_s=1.0)
    assert (answer.binding, answer.max_batch) == ("memory", 90)


def test_too_slow_even_at_batch_one() -> None:
    answer = search(ScriptedDevice(step_s=lambda b: 2.0), longest_step_s=1.0)
    assert (answer.max_batch, answer.binding) == (None, "time")
    assert "longer than" in answer.reason


def test_a_shape_limit_is_a_ceiling_not_memory() -> None:
    def faults(batch: int, purpose: Purpose) -> Verdict | None:
        return Verdict.SHAPE_LIMIT if batch > 33 else None

    answer = search(ScriptedDevice(faults=faults))
    assert (answer.max_batch, answer.binding) == (33, "shape")


def test_what_crashes_ever_since_the_first_run_is_not_blamed_on_the_size() -> None:
    device = ScriptedDevice()

    def probe(ask: Ask) -> Measurement:
        found = device(ask)
        if len(device.asked) == 1:
            return found
        reason = f"Lock {ask.batch_size} is held"
        return replace(found, verdict=Verdict.CRASH, steps=0, reason=reason)

    answer = run_search(MaxBatchSearch(Bounds()), probe)
    assert (answer.max_batch, answer.binding, answer.probes) == (None, "failure", 4)
    assert "Batch 8 trained" in answer.reason and "is held" in answer.reason


@pytest.mark.parametrize("cap", [8, 60])
def test_a_crash_that_does_not_come_again_changes_no_answer(cap: int) -> None:
    device = ScriptedDevice()

    def probe(ask: Ask) -> Measurement:
        found = device(ask)
        if device.asked.count((8, Purpose.CONFIRM)) != 1 or ask.batch_size != 8:
            return found
        return replace(found, verdict=Verdict.CRASH, steps=0, reason="Address already in use")

    search = MaxBatchSearch(Bounds(cap=cap))
    for purpose in (Purpose.BRACKET, Purpose.CONFIRM):
        search.tell(probe(Ask(8, purpose)))
    answer = run_search(search, probe)
    assert (answer.max_batch, answer.binding) == (cap, "cap")
    assert device.asked.count((8, Purpose.CONFIRM)) == 2


def test_a_batch_that_crashes_since_leaves_what_was_confirmed_below_it() -> None:
    def measured(batch: int, purpose: Purpose, verdict: Verdict = Verdict.STABLE) -> Measurement:
        found = ScriptedDevice()(Ask(batch, purpose))
        return replace(found, verdict=verdict, steps=0 if verdict is Verdict.CRASH else 28)

    search = MaxBatchSearch(Bounds())
    search.tell(measured(40, Purpose.CONFIRM))
    search.tell(measured(60, Purpose.BRACKET))
    search.tell(measured(60, Purpose.CONFIRM, Verdict.CRASH))
    again = search.ask()
    assert again is not None and (again.batch_size, again.is_again) == (60, True)
    search.tell(measured(60, Purpose.CONFIRM, Verdict.CRASH))
    assert search.ask() is None
    assert (search.result().max_batch, search.result().binding) == (40, "failure")


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_one_crash_by_chance_at_a_new_batch_is_no_limit_of_the_size(at: int, steps: int) -> None:
    device = ScriptedDevice()

    def probe(ask: Ask) -> Measurement:
        found = device(ask)
        if len(device.asked) != at:
            return found
        return replace(found, verdict=Verdict.CRASH, steps=steps, reason="Connection reset")

    answer = run_search(MaxBatchSearch(Bounds()), probe)
    assert answer.max_batch is not None and 0.97 * 90 <= answer.max_batch <= 90
    assert answer.probes <= 8


def test_a_crash_of_large_batches_alone_is_a_limit_of_the_size() -> None:
    device = ScriptedDevice()

    def probe(ask: Ask) -> Measurement:
        found = device(ask)
        if ask.batch_size <= 50:
            return found
        return replace(found, verdict=Verdict.CRASH, steps=0, reason="index out of range")

    answer = run_search(MaxBatchSearch(Bounds()), probe)
    assert answer.max_batch == 50 and answer.probes <= 12


def test_memory_that_no_batch_changes_is_told_with_the_budget_that_it_needs() -> None:
    def probe(ask: Ask) -> Measurement:
        found = ScriptedDevice()(ask)
        verdict, reason = Verdict.OOM, "Before a step was seen: It used more than the cap."
        peak = 1100 * MIB + ask.batch_size
        return replace(
            found,
            verdict=verdict,
            steps=0,
            reason=reason,
            peak_bytes=peak,
            cap_bytes=950 * MIB,
            limit_bytes=1000 * MIB,
        )

    answer = run_search(MaxBatchSearch(Bounds()), probe)
    assert (answer.max_batch, answer.probes) == (None, 2)
    assert "1.13 GiB" in answer.reason


def test_a_phase_has_no_room_where_a_batch_just_above_failed_in_it() -> None:
    def probe(ask: Ask) -> Measurement:
        found = ScriptedDevice(memory=lambda b: 100 * MIB)(ask)
        peak = found.peak_bytes or 0
        phases = {"train": peak, "evaluate": peak // 2}
        if ask.batch_size <= 50:
            return replace(found, phase_peak_bytes=phases)
        return replace(found, verdict=Verdict.OOM, phase="train", steps=0)

    answer = run_search(MaxBatchSearch(Bounds()), probe)
    assert answer.max_batch is not None and answer.lowest_failing is not None
    assert answer.phases["train"].ceiling == answer.lowest_failing.batch_size - 1
    assert answer.phases["evaluate"].ceiling is None


def test_a_leak_at_every_batch_is_not_blamed_on_the_size() -> None:
    def faults(batch: int, purpose: Purpose) -> Verdict | None:
        return Verdict.LEAK if purpose is Purpose.CONFIRM else None

    answer = search(ScriptedDevice(faults=faults))
    assert answer.max_batch is None
    assert answer.lowest_failing is not None and answer.lowest_failing.verdict is Verdict.LEAK
    assert answer.lowest_failing.batch_size == 1


def test_a_bug_costs_two_probes() -> None:
    device = ScriptedDevice(faults=lambda b, p: Verdict.CRASH)
    answer = search(device)
    assert answer.max_batch is None and answer.binding is None
    assert answer.probes == 2


def test_a_lever_that_is_refused_costs_one_probe() -> None:
    refuses = ScriptedDevice(faults=lambda b, p: Verdict.UNSUPPORTED)
    answer = run_search(MaxBatchSearch(Bounds()), lambda ask: replace(refuses(ask), phase="build"))
    assert (answer.max_batch, answer.binding, answer.probes) == (None, None, 1)
    assert answer.reason == "No batch can run: unsupported: scripted unsupported"


def test_what_is_refused_above_a_size_is_a_limit_of_the_size() -> None:
    """A command that raises before its first step looks as if the device refused it."""
    refuses = ScriptedDevice(faults=lambda b, p: Verdict.UNSUPPORTED if b > 60 else None)

    def probe(ask: Ask) -> Measurement:
        measured = refuses(ask)
        return measured if measured.passed else replace(measured, phase="start")

    answer = run_search(MaxBatchSearch(Bounds()), probe)
    assert answer.max_batch is not None and 58 <= answer.max_batch <= 60
    assert answer.binding == "shape"


def test_what_is_unsupported_in_training_may_be_the_size() -> None:
    refuses = ScriptedDevice(faults=lambda b, p: Verdict.UNSUPPORTED)
    answer = run_search(MaxBatchSearch(Bounds()), lambda ask: replace(refuses(ask), phase="train"))
    assert (answer.max_batch, answer.binding, answer.probes) == (None, None, 2)


def test_a_crash_above_a_size_is_no_shape_limit() -> None:
    def faults(batch: int, purpose: Purpose) -> Verdict | None:
        return Verdict.CRASH if batch > 60 else None

    answer = search(ScriptedDevice(faults=faults))
    assert answer.binding == "failure"
    assert answer.max_batch is not None and 58 <= answer.max_batch <= 60


def test_a_bracket_that_passes_is_never_enough() -> None:
    def faults(batch: int, purpose: Purpose) -> Verdict | None:
        return Verdict.OOM if purpose is Purpose.CONFIRM and batch > 50 else None

    answer = search(ScriptedDevice(faults=faults))
    assert answer.max_batch is not None and 48 <= answer.max_batch <= 50


@pytest.mark.parametrize("edge", [1, 5, 50, 80])
def test_after_a_late_failure_only_confirmations_count(edge: int) -> None:
    """Bursts and creeping memory: every bracket passes, and says nothing."""

    def faults(batch: int, purpose: Purpose) -> Verdict | None:
        return Verdict.OOM if purpose is Purpose.CONFIRM and batch > edge else None

    answer = search(ScriptedDevice(faults=faults))
    assert answer.max_batch is not None and 0.97 * edge <= answer.max_batch <= edge
    assert answer.probes <= 12


def confirmations(device: ScriptedDevice) -> list[int]:
    return [batch for batch, purpose in device.asked if purpose == "confirm"]


@pytest.mark.parametrize(
    "verdict", [Verdict.OOM, Verdict.LEAK, Verdict.TIMEOUT, Verdict.CRASH, Verdict.NON_FINITE]
)
@pytest.mark.parametrize("short_by", [1, 2, 4, 9])
def test_a_late_failure_near_the_edge_is_cheap(verdict: Verdict, short_by: int) -> None:
    """90 fit for a few steps; a long run fails above a little less, with memory near the cap."""
    edge = 90 - short_by

    def faults(batch: int, purpose: Purpose) -> Verdict | None:
        return verdict if purpose is Purpose.CONFIRM and batch > edge else None

    device = ScriptedDevice(faults=faults)
    answer = search(device)
    assert answer.max_batch is not None and 0.97 * edge <= answer.max_batch <= edge
    long = confirmations(device)
    assert len(long) <= (2 if short_by <= 2 else 6)
    assert all(batch == 1 or batch >= 0.85 * 90 for batch in long)
    assert short_by > 2 or 1 not in long, "the batch below has shown that size matters"
    assert answer.probes <= 9


def test_what_a_confirmation_took_more_than_a_bracket_tells_where_the_next_one_goes() -> None:
    """Long runs need a quarter more memory above what the model takes."""
    device = ScriptedDevice()

    def creeping(ask: Ask) -> Measurement:
        run = device(ask)
        if ask.purpose is Purpose.BRACKET or run.peak_bytes is None:
            return run
        peak = device.static_bytes + 1.25 * (run.peak_bytes - device.static_bytes)
        if peak <= device.cap_bytes:
            return replace(run, peak_bytes=int(peak))
        return replace(run, verdict=Verdict.OOM, peak_bytes=device.cap_bytes, step_time=None)

    answer = run_search(MaxBatchSearch(Bounds()), creeping)
    assert answer.max_batch is not None and 70 <= answer.max_batch <= 72
    assert len(confirmations(device)) <= 7


@dataclass
class Evaluating:
    """A device whose confirmations come to an evaluation, with a peak of its own in bytes."""

    evaluation: Callable[[int], float]
    device: ScriptedDevice = field(default_factory=ScriptedDevice)
    shows_peak: bool = False
    """Whether a run that fails is ended at its peak, as a command is, and not by an allocation."""

    def __call__(self, ask: Ask) -> Measurement:
        run, peak = self.device(ask), int(self.evaluation(ask.batch_size))
        if ask.purpose is Purpose.BRACKET or run.peak_bytes is None:
            return run
        if peak <= self.device.cap_bytes:
            phases = {"train": run.peak_bytes}
            if peak > run.peak_bytes:
                phases["evaluate"] = peak
            return replace(run, peak_bytes=max(phases.values()), phase_peak_bytes=phases)
        return replace(
            run,
            verdict=Verdict.OOM,
            peak_bytes=peak if self.shows_peak else self.device.cap_bytes,
            requested_bytes=None if self.shows_peak else peak // 4,
            step_time=None,
            phase="evaluate",
        )


@pytest.mark.parametrize(("mib_per_sample", "edge"), [(10.3, 87), (12, 75), (16, 56), (40, 22)])
def test_an_evaluation_that_needs_more_than_training_decides(
    mib_per_sample: float, edge: int
) -> None:
    """Batches of 90 train; the evaluation, on a larger batch, needs more."""
    evaluating = Evaluating(lambda b: (100 + mib_per_sample * b) * MIB)
    answer = run_search(MaxBatchSearch(Bounds()), evaluating)
    assert answer.max_batch is not None and 0.97 * edge <= answer.max_batch <= edge
    assert answer.binding == "memory" and answer.phases["evaluate"].peak_bytes > 950 * MIB
    assert len(confirmations(evaluating.device)) <= 5 and answer.probes <= 10


@pytest.mark.parametrize(("mib_per_sample", "edge"), [(10.3, 87), (12, 75), (16, 56), (40, 22)])
def test_the_peak_of_an_evaluation_that_failed_tells_where_to_go(
    mib_per_sample: float, edge: int
) -> None:
    evaluating = Evaluating(lambda b: (100 + mib_per_sample * b) * MIB, shows_peak=True)
    answer = run_search(MaxBatchSearch(Bounds()), evaluating)
    assert answer.max_batch is not None and 0.97 * edge <= answer.max_batch <= edge
    assert len(confirmations(evaluating.device)) <= 4 and answer.probes <= 8


@pytest.mark.parametrize("more", [1.1, 1.25, 2.0])
def test_the_peak_of_a_long_run_that_failed_tells_where_to_go(more: float) -> None:
    """Long runs need more memory above what the model takes, and are ended at their peaks."""
    device = ScriptedDevice()

    def creeping(ask: Ask) -> Measurement:
        run = device(ask)
        if ask.purpose is Purpose.BRACKET or run.peak_bytes is None or not run.passed:
            return run
        peak = int(device.static_bytes + more * (run.peak_bytes - device.static_bytes))
        if peak <= device.cap_bytes:
            return replace(run, peak_bytes=peak)
        return replace(run, verdict=Verdict.OOM, peak_bytes=peak, step_time=None)

    answer = run_search(MaxBatchSearch(Bounds()), creeping)
    edge = 90 / more
    assert answer.max_batch is not None and 0.95 * edge <= answer.max_batch <= edge
    assert len(confirmations(device)) <= 4 and answer.probes <= 8


def test_a_confirmation_that_fails_where_a_bracket_passed_ends_the_brackets() -> None:
    """However few steps it failed after."""

    def faults(batch: int, purpose: Purpose) -> Verdict | None:
        return Verdict.OOM if purpose is Purpose.CONFIRM and batch > 70 else None

    device = ScriptedDevice(faults=faults)
    answer = run_search(MaxBatchSearch(Bounds()), lambda ask: _at_once(device(ask)))
    assert answer.max_batch is not None and 68 <= answer.max_batch <= 70
    failed = [n for n, (b, p) in enumerate(device.asked) if p == "confirm" and b > 70]
    passed = [b for b, p in device.asked if p == "bracket" and b <= 90]
    last = next(n for n in failed if device.asked[n][0] <= max(passed))
    assert all(purpose == "confirm" for _, purpose in device.asked[last:])


def test_an_evaluation_on_a_batch_of_its_own_that_fits_at_no_batch_ends_the_search() -> None:
    evaluating = Evaluating(lambda b: 1200 * MIB)
    answer = run_search(MaxBatchSearch(Bounds()), evaluating)
    assert answer.max_batch is None and answer.binding == "memory"
    assert len(confirmations(evaluating.device)) <= 3
    assert "own batch size" in answer.reason


@pytest.mark.parametrize("phase", ["evaluate", "train"])
def test_an_evaluation_that_fits_at_no_batch_is_found_out_also_where_one_peak_was_seen(
    phase: str,
) -> None:
    """The first failure shows its peak, the others a refused allocation, in whichever phase."""
    device = ScriptedDevice()
    seen: list[int] = []

    def probe(ask: Ask) -> Measurement:
        run = device(ask)
        if ask.purpose is Purpose.BRACKET:
            return run
        seen.append(ask.batch_size)
        failed = replace(run, verdict=Verdict.OOM, step_time=None, phase=phase)
        if len(seen) == 1:
            return replace(failed, peak_bytes=int(1.1 * device.cap_bytes))
        return replace(failed, peak_bytes=int(0.9 * device.cap_bytes), requested_bytes=18 * MIB)

    answer = run_search(MaxBatchSearch(Bounds()), probe)
    assert answer.max_batch is None and answer.binding == "memory"
    assert len(seen) <= 7


def test_an_evaluation_on_a_batch_of_its_own_that_fits_changes_nothing() -> None:
    evaluating = Evaluating(lambda b: 600 * MIB)
    answer = run_search(MaxBatchSearch(Bounds()), evaluating)
    assert answer.max_batch is not None and 87 <= answer.max_batch <= 90
    assert len(confirmations(evaluating.device)) == 1


def _at_once(run: Measurement) -> Measurement:
    return run if run.passed else replace(run, steps=1)


def test_a_smaller_batch_that_passed_shows_that_size_matters() -> None:
    device = ScriptedDevice(faults=lambda b, p: Verdict.CRASH if b > 60 else None)
    run_search(MaxBatchSearch(Bounds()), lambda ask: _at_once(device(ask)))
    assert 1 not in [batch for batch, _ in device.asked]


def test_a_strange_late_failure_far_from_the_edge_asks_whether_size_matters_at_all() -> None:
    def faults(batch: int, purpose: Purpose) -> Verdict | None:
        return Verdict.NON_FINITE if purpose is Purpose.CONFIRM else None

    device = ScriptedDevice(memory=lambda b: 100 * MIB, faults=faults)
    answer = search(device, cap=64)
    assert answer.max_batch is None
    assert confirmations(device) == [64, 1]


@settings(max_examples=400, deadline=None)
@given(
    base=st.floats(0, 900),
    slope=st.floats(0.05, 300),
    curve=st.floats(0, 0.5),
    stair=st.integers(1, 64),
    noise=st.floats(0, 0.02),
    seed=st.integers(0, 10_000),
)
def test_the_answer_always_passed_its_own_confirmation(
    base: float, slope: float, curve: float, stair: int, noise: float, seed: int
) -> None:
    def memory(batch: int) -> float:
        b = math.ceil(batch / stair) * stair
        return (base + slope * b + curve * b * b) * MIB

    device = ScriptedDevice(memory=memory, static_bytes=int(base * MIB), noise=noise, seed=seed)
    answer = search(device)
    assert answer.probes <= MAX_PROBES + 3
    if answer.max_batch is None:
        assert memory(1) > device.cap_bytes * 0.97
        return
    passing = answer.highest_passing
    assert passing is not None and passing.passed and passing.purpose is Purpose.CONFIRM
    assert (passing.peak_bytes or 0) <= device.cap_bytes
    if noise == 0:
        assert answer.max_batch >= 0.9 * true_edge(device) - 1


class Picky(ScriptedDevice):
    """Refuses some batches before the first step, in words that name the batch."""

    def __init__(self, takes: Callable[[int], bool], **options: Any) -> None:
        super().__init__(**options)
        self.takes = takes

    def __call__(self, ask: Ask) -> Measurement:
        m = super().__call__(ask)
        if self.takes(ask.batch_size):
            return m
        return replace(
            m,
            verdict=Verdict.CRASH,
            reason=f"ValueError: {ask.batch_size} is not accepted",
            peak_bytes=None,
            step_time=None,
            steps=0,
            samples=0,
        )


@pytest.mark.parametrize("unit", [2, 4, 8])
@pytest.mark.parametrize("cap_mib", [1000, 5432])
def test_where_only_multiples_are_taken_the_memory_is_filled_with_them(
    unit: int, cap_mib: int
) -> None:
    device = Picky(lambda b: b % unit == 0, cap_bytes=cap_mib * MIB)
    answer = run_search(MaxBatchSearch(Bounds(cap=100_000)), device)
    edge = (cap_mib - 100) // 10
    assert answer.binding == "memory" and answer.max_batch is not None
    assert edge - max(8, 0.04 * edge) <= answer.max_batch <= edge
    assert answer.probes <= 8
    refused = [m for m in answer.measurements if m.verdict is Verdict.CRASH]
    assert len(refused) <= 1
    assert ("multiples of" in answer.reason) == bool(refused)


@pytest.mark.parametrize("cap_mib", [500, 1000, 2000, 5432, 30_000])
def test_where_the_batch_must_divide_a_total_powers_of_two_are_tried(cap_mib: int) -> None:
    device = Picky(lambda b: 4096 % b == 0, cap_bytes=cap_mib * MIB)
    answer = run_search(MaxBatchSearch(Bounds()), device)
    edge = (cap_mib - 100) // 10
    assert answer.max_batch == 1 << (edge.bit_length() - 1)
    assert answer.binding == "memory"
    assert answer.probes <= 10
    assert "powers of two" in answer.reason and "is not accepted" in answer.reason


def test_one_crash_above_powers_of_two_is_no_reason_to_try_these_alone() -> None:
    device = ScriptedDevice(cap_bytes=6100 * MIB)
    search = MaxBatchSearch(Bounds())
    for batch in (8, 256, 610):
        search.tell(device(Ask(batch, Purpose.BRACKET)))
    crash = replace(device(Ask(592, Purpose.CONFIRM)), verdict=Verdict.CRASH, steps=0)
    search.tell(replace(crash, reason="Connection reset", peak_bytes=None))
    answer = run_search(search, device)
    assert answer.max_batch is not None and answer.max_batch > 560
    assert "powers of two" not in answer.reason


def test_a_largest_batch_that_is_taken_is_no_reason_to_try_multiples() -> None:
    answer = run_search(MaxBatchSearch(Bounds()), Picky(lambda b: b <= 24))
    assert (answer.max_batch, answer.binding) == (24, "failure")
    assert "multiples of" not in answer.reason


@pytest.mark.parametrize("unit", [2, 4, 8])
def test_batches_too_small_to_be_taken_are_not_why_nothing_fits(unit: int) -> None:
    device = Picky(lambda b: b % unit == 0, cap_bytes=100 * MIB)
    answer = run_search(MaxBatchSearch(Bounds()), device)
    assert (answer.max_batch, answer.binding) == (None, "memory")
    assert f"batch {unit} fails: oom" in answer.reason
    assert "is not accepted" in answer.reason
    assert answer.probes <= 5


def test_a_single_sample_that_does_not_train_hides_no_batch_that_does() -> None:
    device = Picky(lambda b: b > 1, memory=lambda b: (100 + 300 * b) * MIB)
    answer = run_search(MaxBatchSearch(Bounds()), device)
    assert (answer.max_batch, answer.binding) == (3, "memory")


@given(
    unit=st.integers(1, 300),
    least=st.integers(1, 40),
    per_sample=st.integers(1, 400),
    start=st.integers(1, 300),
    ceiling=st.integers(1, 5000),
)
def test_whatever_is_refused_the_answer_passed_and_the_search_ends(
    unit: int, least: int, per_sample: int, start: int, ceiling: int
) -> None:
    device = Picky(
        lambda b: b % unit == 0 and b >= least,
        memory=lambda b: 100 * MIB + per_sample * b * MIB / 10,
    )
    answer = run_search(MaxBatchSearch(Bounds(cap=ceiling), start), device)
    assert answer.probes <= MAX_PROBES + 3
    if answer.max_batch is not None:
        assert answer.highest_passing is not None and answer.highest_passing.passed
        assert device.takes(answer.max_batch)
        assert device.memory(answer.max_batch) <= device.cap_bytes
