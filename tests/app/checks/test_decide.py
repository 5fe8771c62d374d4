"""What is answered, as a table: the plan, what was measured, the answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.checks.decide import decide
from app.checks.plan import CycleWindow, MeasuredRun, Room, RunPlan, StepSeconds

MIB = 2**20
ROOM = Room(limit_bytes=1000 * MIB, headroom=0.1)  # 900 MiB may be used
NUMBERS = iter(range(1, 10_000))


def plan(batch_size: int, **changes) -> RunPlan:
    return replace(RunPlan("net", {"layers": 2}, batch_size), **changes)


def passed(batch_size: int, peak_mib: int | None = None, **changes) -> MeasuredRun:
    """A confirmation run; without a number its peak is 8 MiB per sample and 100 for the model."""
    peak = 100 + 8 * batch_size if peak_mib is None else peak_mib
    made = MeasuredRun(
        next(NUMBERS), batch_size, 1, True, "stable", "It ran.", peak * MIB, 900 * MIB,
        static_bytes=100 * MIB, step=StepSeconds(0.01 * batch_size, 0.009 * batch_size,
        0.011 * batch_size), device="H200",
    )  # fmt: skip
    return replace(made, **changes)


def failed(batch_size: int, verdict: str = "oom", **changes) -> MeasuredRun:
    made = passed(batch_size, 880, verdict=verdict, reason="No room.", step=None)
    return replace(made, confirmed=False, **changes)


def quick(batch_size: int, **changes) -> MeasuredRun:
    return passed(batch_size, confirmed=False, **changes)


DRIVER = ("driver 550.54 -> 560.28",)
MEMORY = [
    # planned, measured, verdict, what the line must say
    (96, [passed(96)], "fits", "batch 96 needs 868 MiB of 900 MiB, 32 MiB to spare"),
    (64, [passed(96)], "fits", "batch 64 is below batch 96, which needs 868 MiB"),
    (64, [passed(96), failed(104)], "fits", "below batch 96"),
    (104, [passed(96), failed(104)], "does_not_fit", "the largest batch that fits is 96"),
    (192, [passed(96), failed(104)], "does_not_fit", "about 736 MiB more than the 900 MiB"),
    (192, [passed(64), passed(96), passed(96)], "unknown", "192 was not measured"),
    (192, [passed(64), passed(96, 880), passed(96), failed(104)], "does_not_fit", "about 784 MiB"),
    (100, [passed(96), failed(104)], "unknown", "96 is the largest that passed, 104 the smallest"),
    (97, [passed(96)], "unknown", "96 is the largest that passed a stability run"),
    (8, [failed(8)], "does_not_fit", "no batch of this config is known to fit"),
    (4, [failed(8)], "unknown", "8 failed (oom), and nothing below it was confirmed"),
    # a few steps are not enough, for nothing but failing
    (96, [quick(96)], "unknown", "ran for a few steps only"),
    (64, [quick(96)], "unknown", "ran for a few steps only"),
    (97, [passed(96), quick(97)], "unknown", "97 ran for a few steps only: 96 is the largest"),
    # other ways to fail
    (96, [failed(96, "leak"), passed(64)], "does_not_fit", "leaks memory"),
    (96, [failed(96, "spill")], "does_not_fit", "outside the device"),
    (96, [failed(96, "shape_limit"), passed(64)], "does_not_fit", "more than a kernel can"),
    (96, [failed(1, "unsupported", refused=True)], "does_not_fit", "no batch of this config"),
    (96, [failed(96, "crash")], "unknown", "ended in crash"),
    (96, [failed(96, "timeout"), passed(64)], "unknown", "ended in timeout"),
    (96, [failed(96, "non_finite")], "unknown", "ended in non_finite"),
    # it failed once and passed once: that is no fit
    (96, [passed(96), failed(96)], "does_not_fit", "batch 96 needs"),
    (64, [passed(96), failed(96)], "unknown", "96 failed (oom), and nothing below it"),
    # memory that does not follow the batch: only this very batch's own run counts, if it is newer
    (96, [failed(64), passed(96)], "fits", "batch 96 needs 868 MiB"),
    (96, [passed(96), failed(64)], "unknown", "batch 64 has failed since (oom): it has to pass"),
    (80, [failed(64), passed(96)], "unknown", "memory does not follow the batch"),
    (32, [failed(64), passed(96)], "unknown", "memory does not follow the batch"),
    (32, [passed(48), failed(64), passed(96)], "fits", "below batch 48"),
    # what somebody else took is not the config's
    (96, [passed(96), failed(96, memory_tainted=True)], "fits", "batch 96 needs"),
    (64, [passed(96), failed(64, memory_tainted=True)], "fits", "below batch 96"),
    (104, [passed(96), failed(104, memory_tainted=True)], "does_not_fit", "96"),
    (96, [passed(96), failed(96, "leak", memory_tainted=True)], "does_not_fit", "leaks memory"),
    # peaks that do not rise with the batch: nothing below the highest is certain
    (64, [passed(96, 400), quick(32, peak_mib=600)], "unknown", "peaks do not rise"),
    (96, [passed(96, 400), quick(32, peak_mib=600)], "fits", "batch 96 needs 400 MiB"),
    # measured with other memory
    (96, [passed(96, cap_bytes=500 * MIB, peak_mib=480)], "fits", "480 MiB of 900 MiB"),
    (96, [passed(96, 950, cap_bytes=2000 * MIB)], "does_not_fit", "at least 50 MiB more"),
    (96, [failed(96, cap_bytes=500 * MIB)], "unknown", "ended in oom"),
    (96, [failed(96, cap_bytes=2000 * MIB)], "does_not_fit", "batch 96"),
    # nothing
    (96, [], "unknown", "nothing was measured for this config here"),
    (96, [passed(96, elsewhere=True)], "unknown", "only on H200"),
    # what no longer holds decides nothing, not even a failure
    (96, [passed(96, changes=DRIVER)], "stale", "driver 550.54 -> 560.28"),
    (96, [failed(96, changes=DRIVER)], "stale", "driver 550.54 -> 560.28"),
    (96, [passed(96), failed(96, changes=DRIVER)], "fits", "batch 96"),
    (96, [passed(64), passed(96, changes=DRIVER)], "unknown", "64 is the largest"),
]  # fmt: skip


@pytest.mark.parametrize(("batch_size", "runs", "verdict", "words"), MEMORY)
def test_memory(batch_size, runs, verdict, words):
    answer = decide(plan(batch_size), ROOM, runs)
    assert (answer.verdict, words in answer.reason) == (verdict, True), answer.reason
    assert "\n" not in answer.reason


def window(longest_s: float | None, **changes) -> CycleWindow:
    return replace(CycleWindow("prototyping", 100, longest_s), **changes)


TIME = [
    # a step of batch n takes n/100 s, a cycle has 100 steps: n seconds
    (50, [passed(50)], 60, "fits", "a cycle takes 50 s, prototyping allows 1 min"),
    (50, [passed(50)], 40, "too_slow", "takes 50 s per cycle"),
    (50, [passed(50)], None, "fits", "batch 50 needs"),
    (40, [passed(50)], 60, "fits", "a cycle takes at most 55 s"),
    (40, [passed(50)], 50, "unknown", "the time of batch 40 was not measured"),
    (40, [passed(30), passed(50)], 20, "too_slow", "takes longer than batch 30, at least 27 s"),
    (90, [passed(50)], 20, "too_slow", "no batch of this config is known to be in time"),
    (90, [passed(10), passed(50)], 20, "too_slow", "known to be in time is 10"),
    (104, [passed(96), failed(104)], 20, "does_not_fit", "largest batch that fits is 96"),
    # a disturbed machine is only ever slower
    (50, [passed(50, tainted=True)], 60, "fits", "a cycle takes 50 s"),
    (50, [passed(50, tainted=True)], 40, "unknown", "while the machine was disturbed"),
    (50, [passed(50, tainted=True), passed(50)], 40, "too_slow", "takes 50 s"),
    (50, [passed(50, step=None)], 60, "unknown", "no step time was measured"),
]  # fmt: skip


@pytest.mark.parametrize(("batch_size", "runs", "longest_s", "verdict", "words"), TIME)
def test_time(batch_size, runs, longest_s, verdict, words):
    answer = decide(plan(batch_size, window=window(longest_s)), ROOM, runs)
    assert (answer.verdict, words in answer.reason) == (verdict, True), answer.reason


def test_accumulation_needs_other_memory_so_only_its_like_counts():
    once, often = passed(96), passed(96, accumulation=4)
    assert decide(plan(96, accumulation=2), ROOM, [once]).verdict == "unknown"
    assert decide(plan(96), ROOM, [often]).verdict == "unknown"
    answer = decide(plan(96, accumulation=2), ROOM, [often])
    assert answer.verdict == "fits"
    timed = decide(plan(96, accumulation=2, window=window(1000)), ROOM, [often])
    assert timed.verdict == "unknown"
    assert "no step time was measured with accumulation 2" in timed.reason


def test_a_few_steps_count_where_they_are_asked_for_and_say_so():
    answer = decide(plan(96), ROOM, [quick(96)], accept_brackets=True)
    assert answer.verdict == "fits"
    assert "no stability run" in answer.reason


def test_what_would_help_keeps_the_samples_per_step():
    answer = decide(plan(192), ROOM, [passed(96), failed(104)])
    assert answer.lever is not None
    assert "batch 96 with accumulation 2" in answer.lever
    assert "gradient_checkpointing=true" in answer.lever
    found = decide(plan(192), ROOM, [passed(96), failed(104)], hints=["--set precision=bf16 …"])
    assert found.lever is not None and "precision=bf16" in found.lever


def test_what_would_help_never_changes_the_samples_per_step_unsaid():
    runs = [passed(96), failed(104)]
    found = decide(plan(120), ROOM, runs)
    assert found.lever is not None
    assert "batch 60 with accumulation 2" in found.lever
    prime = decide(plan(113), ROOM, runs)
    assert prime.lever is not None
    assert "batch 96, with fewer samples per step" in prime.lever


def test_the_failure_that_is_named_is_the_lowest_one():
    answer = decide(plan(192), ROOM, [passed(96), failed(104), failed(150, cap_bytes=2000 * MIB)])
    assert answer.lowest_failing is not None
    assert answer.lowest_failing["batch_size"] == 104
    assert "(batch 104 failed)" in answer.reason
    assert "150" not in " ".join([answer.reason, *answer.details])


def test_how_much_is_short_is_measured_where_the_error_named_it():
    run = failed(104, requested_bytes=300 * MIB)
    assert decide(plan(104), ROOM, [passed(96), run]).short_by_bytes == 280 * MIB


def test_how_much_is_short_is_told_from_the_best_run_of_each_batch():
    """A batch that was measured twice, as every confirmed one is."""
    runs = [quick(96, peak_mib=700), passed(96), quick(48), passed(48), failed(104)]
    assert decide(plan(192), ROOM, runs).short_by_bytes == (100 + 8 * 192 - 900) * MIB


def test_stale_says_what_it_was_before():
    answer = decide(plan(96), ROOM, [passed(96, changes=DRIVER)])
    assert answer.changes == list(DRIVER)
    assert any("fits: batch 96 needs" in line for line in answer.details)


def test_memory_that_is_in_use_at_this_moment_is_said():
    answer = decide(plan(96), replace(ROOM, free_bytes=100 * MIB), [passed(96)])
    assert answer.verdict == "fits"
    assert any("100 MiB" in line and "free" in line for line in answer.details)


def test_a_batch_that_also_failed_is_not_the_largest_that_fits():
    answer = decide(plan(96), ROOM, [passed(64), passed(96), failed(96)])
    assert (answer.verdict, answer.largest_batch) == ("does_not_fit", 64)


def test_everything_that_was_looked_at_is_listed_with_what_it_counted_as():
    runs = [passed(96), failed(104), quick(32), passed(8, changes=DRIVER)]
    counted = [each["counts_as"] for each in decide(plan(96), ROOM, runs).compared]
    assert [words.split(":")[0].split(" within")[0] for words in counted] == [
        "passes", "fails", "ran a few steps", "no longer holds",
    ]  # fmt: skip


TOGETHER = [
    # ranks of the plan, measured, verdict, what the line must say
    (2, [passed(96, ranks=2)], "fits", "batch 96 needs"),
    (2, [passed(96)], "unknown", "on 2 ranks together, only on a single device"),
    (2, [passed(96), passed(96, ranks=4)], "unknown", "only on a single device, 4 ranks together"),
    (0, [passed(96, ranks=2)], "unknown", "on a single device, only on 2 ranks together"),
    (2, [passed(96), failed(96, ranks=2)], "does_not_fit", "batch 96"),
    (2, [passed(96, ranks=2, changes=DRIVER)], "stale", "driver 550.54 -> 560.28"),
    (2, [passed(96, changes=DRIVER)], "unknown", "only on a single device"),
    (2, [], "unknown", "nothing was measured for this config here"),
]


@pytest.mark.parametrize(("ranks", "runs", "verdict", "words"), TOGETHER)
def test_another_number_of_devices_is_no_evidence(ranks, runs, verdict, words):
    answer = decide(plan(96, ranks=ranks), ROOM, runs)
    assert (answer.verdict, words in answer.reason) == (verdict, True), answer.reason
    assert len(answer.compared) == len(runs)
