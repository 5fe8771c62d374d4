"""Programs that run out of memory, say so, and go on."""

from __future__ import annotations

import pytest

from probes.black_box.caught import CaughtOutOfMemory
from probes.measurement import Verdict
from tests.probes.black_box.test_command_probe import CONFIRM, job, prober

ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
    "you tried to allocate 62128128 bytes. Error code 12 (Cannot allocate memory)"
)


@pytest.mark.parametrize(
    "line",
    [
        "WARNING: out of memory, reducing batch size to 316",
        "| WARNING: ran out of memory, skipping batch",
        "OOM at batch 64, retrying with 32",
        "Out-of-memory in step 12: batch skipped",
    ],
)
def test_own_words_are_believed_where_memory_was_nearly_full(line: str) -> None:
    caught = CaughtOutOfMemory()
    caught.read(line, 1.0)
    assert caught.is_likely(0.8)
    assert not caught.is_likely(0.1)


@pytest.mark.parametrize(
    "line",
    [
        "If you run out of memory, reduce the batch size.",
        "Note: lower --batch-size to avoid OOM",
        "on OOM: skip batch",
        "step 12 loss 0.5 skipped 0 oom 0",
        "skip_oom_batches=True",
        "memory 512 MiB, room left 20 MiB, try 3",
    ],
)
def test_advice_and_settings_are_no_failure(line: str) -> None:
    caught = CaughtOutOfMemory()
    caught.read(line, 1.0)
    assert not caught.is_likely(1.0)


def test_the_words_of_the_allocator_are_certain() -> None:
    caught = CaughtOutOfMemory()
    caught.read("WARNING: out of memory, skipping batch", 1.0)
    caught.read(f"Skipped batch 3: {ALLOCATOR}", 2.0)
    assert caught.is_likely(0.01)
    assert caught.line.startswith("Skipped batch 3")
    assert not caught.went_on
    caught.stepped(2.1)
    assert not caught.went_on, "it may have been printed before, on the other stream"
    caught.stepped(4.0)
    assert caught.went_on


def test_a_script_that_halves_its_batch_does_not_pass_with_the_batch_it_was_asked_for() -> None:
    measured = job("--mode halves-at-12", batch_size=40, plan=CONFIRM, limit_mib=64)
    measurement = prober().probe(measured)
    assert measurement.verdict is Verdict.OOM
    assert "did not end" in measurement.reason
    assert "reducing batch size to 20" in measurement.reason


def test_a_script_that_stops_by_itself_when_memory_is_refused_is_no_short_data_set() -> None:
    measured = job("--mode halves-at-12 --steps 12", batch_size=40, plan=CONFIRM, limit_mib=64)
    assert prober().probe(measured).verdict is Verdict.OOM


def test_an_error_that_ends_the_script_is_told_as_before() -> None:
    measured = job("--mode refused-at-12", batch_size=40, plan=CONFIRM, limit_mib=64)
    measurement = prober().probe(measured)
    assert measurement.verdict is Verdict.OOM
    assert measurement.reason.startswith("While training: ")
    assert measurement.requested_bytes == 62128128
