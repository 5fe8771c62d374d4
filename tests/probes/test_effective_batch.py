"""A stated effective batch: which micro-batches are worth trying, and which is the largest."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.effective_batch import accumulation, next_useful, useful
from probes.max_batch import MAX_PROBES, Ask, Bounds, MaxBatchSearch, run_search
from probes.max_batch.result import MaxBatch
from probes.measurement import Measurement, Purpose, Verdict
from tests.probes.scripted import MIB, ScriptedDevice

sizes = st.integers(1, 5000)


def brute_force(effective: int) -> list[int]:
    """For every number of micro-batches the smallest size that makes the step."""
    return sorted({math.ceil(effective / count) for count in range(1, effective + 1)})


@given(effective=sizes, data=st.data())
def test_a_step_has_the_stated_samples_and_hardly_more(effective: int, data: st.DataObject) -> None:
    batch = useful(effective, data.draw(st.integers(1, effective)))
    count = accumulation(effective, batch)

    assert effective <= batch * count < effective + count


@given(effective=st.integers(1, 700))
def test_useful_sizes_are_those_that_no_smaller_one_replaces(effective: int) -> None:
    found, batch = [], 1
    while batch is not None:
        found.append(batch)
        batch = next_useful(effective, batch)

    assert found == brute_force(effective)
    for size in range(1, effective + 1):
        assert useful(effective, size) == max(b for b in found if b <= size)


@dataclass
class Accumulating:
    """A scripted device whose steps have the samples of an effective batch."""

    device: ScriptedDevice
    effective: int

    def __call__(self, ask: Ask) -> Measurement:
        micro_batches = accumulation(self.effective, ask.batch_size)
        run = self.device(ask)
        if run.step_time is None:
            return replace(run, accumulation=micro_batches)
        time = {
            name: getattr(run.step_time, name) * micro_batches
            for name in ("median_s", "mean_s", "low_s", "high_s", "p10_s", "p90_s")
        }
        step_time = replace(run.step_time, **time)
        return replace(run, accumulation=micro_batches, step_time=step_time)


def search(device: ScriptedDevice, effective: int, **bounds: object) -> MaxBatch:
    limits = Bounds(effective_batch_size=effective, **bounds)  # type: ignore[arg-type]
    return run_search(MaxBatchSearch(limits), Accumulating(device, effective))


def test_the_effective_batch_is_the_ceiling() -> None:
    answer = search(ScriptedDevice(), 64)

    assert (answer.max_batch, answer.binding) == (64, "cap")
    assert answer.reason == "It is the whole effective batch, 64 samples."


def test_the_largest_micro_batch_wastes_no_samples() -> None:
    """90 fit; steps of 2 × 90 would have 180 samples, 2 × 64 have the 128 that were asked for."""
    answer = search(ScriptedDevice(), 128)

    assert (answer.max_batch, answer.binding) == (64, "memory")
    assert answer.highest_passing is not None and answer.lowest_failing is not None
    assert answer.highest_passing.purpose is Purpose.CONFIRM
    assert answer.highest_passing.effective_batch_size == 128
    assert answer.lowest_failing.batch_size == 128, "the next that would be worth it"
    assert answer.probes <= 4


def test_the_data_set_still_binds() -> None:
    answer = search(ScriptedDevice(), 128, dataset_size=70)

    assert (answer.max_batch, answer.binding) == (64, "data")


@given(
    effective=st.integers(1, 3000),
    slope=st.floats(0.05, 900),
    bend=st.floats(0, 0.1),
    stair=st.integers(1, 32),
)
def test_it_is_the_largest_useful_one_that_fits(
    effective: int, slope: float, bend: float, stair: int
) -> None:
    def memory(batch: int) -> float:
        b = math.ceil(batch / stair) * stair
        return (100 + slope * b + bend * b * b) * MIB

    device = ScriptedDevice(memory=memory)
    answer = search(device, effective, resolution=0.0)
    fitting = [b for b in brute_force(effective) if memory(b) <= device.cap_bytes]

    assert {b for b, _ in device.asked} <= set(brute_force(effective))
    assert answer.max_batch == max(fitting, default=None)
    assert answer.probes <= MAX_PROBES


def test_time_is_no_edge_of_the_micro_batch_small_ones_are_the_slow_ones() -> None:
    """At batch 8 a step of 64 takes 8 × 0.05 s, at batch 64 it takes 0.12 s."""
    device = ScriptedDevice(memory=lambda b: (100 + b) * MIB, step_s=lambda b: 0.04 + 0.00125 * b)
    answer = search(device, 64, longest_step_s=0.2)

    assert (answer.max_batch, answer.binding) == (64, "cap")
    assert answer.highest_passing is not None and answer.highest_passing.step_time is not None
    assert answer.highest_passing.step_time.mean_s == pytest.approx(0.12)


def test_when_even_the_largest_is_too_slow_time_binds() -> None:
    device = ScriptedDevice(step_s=lambda b: 0.04 + 0.00125 * b)
    answer = search(device, 64, longest_step_s=0.1)

    assert (answer.max_batch, answer.binding) == (None, "time")
    assert "0.12 s per step, longer than the 0.1 s" in answer.reason
    assert answer.lowest_failing is not None and answer.lowest_failing.verdict is Verdict.STABLE


def test_samples_that_take_longer_because_memory_spills_are_still_seen() -> None:
    """Micro-batches make no sample slower; memory that is not the device's does."""
    device = ScriptedDevice(
        memory=lambda b: 10 * MIB, step_s=lambda b: 0.001 * b * (5 if b > 100 else 1)
    )
    answer = search(device, 256, slowest_sample=1.5)

    assert answer.max_batch == 86
    assert answer.binding == "memory"


def test_late_failures_before_anything_has_passed_do_not_end_the_search() -> None:
    def faults(batch: int, purpose: Purpose) -> Verdict | None:
        return Verdict.OOM if purpose is Purpose.CONFIRM and batch > 2 else None

    assert search(ScriptedDevice(faults=faults), 8).max_batch == 2


def test_nothing_passed_yet_so_one_sample_is_the_next_useful_size() -> None:
    assert Bounds(effective_batch_size=8).next_useful(0) == 1
