"""What is a leak from outside, and what is not: scripted memory, seen at scripted moments.

The script makes steps whose memory rises within each step and falls at its end; memory is seen at
any phase of a step. Its high-water marks are exact, as the kernel's are.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probes.black_box.steps import Passed
from probes.black_box.watch import StepWatch
from probes.black_box.windows import Look
from probes.devices.base import MemoryCap
from probes.job import CONFIRM_PLAN
from probes.measurement import Measurement, Purpose, Verdict

MIB = 2**20
KIB = 2**10
LIMIT = 2000 * MIB
PLAN = replace(CONFIRM_PLAN, evaluation_s=0.0)
CAP = MemoryCap(LIMIT, 1900 * MIB, 0, enforced=True)

Rise = Callable[[int], float]
"""Bytes that are kept after so many steps."""


def nothing(step: int) -> float:
    return 0.0


def leak(bytes_per_step: float, every: int = 1) -> Rise:
    return lambda step: bytes_per_step * every * (step // every)


def creep(total: float, steps: float) -> Rise:
    """An allocator's: it levels off."""
    return lambda step: total * (1 - math.exp(-step / steps))


@dataclass
class Script:
    """A training whose memory goes from ``low`` to ``low + work`` and back in each step."""

    rise: Rise = nothing
    step_s: float = 0.1
    look_s: float = 0.05
    """Between two looks at the memory; each is late by a random part of it."""
    line_steps: int = 1
    """Steps per line of output."""
    evaluates_every: int = 0
    evaluation: float = 300 * MIB
    """What an evaluation takes on top of a step. It lasts for four steps."""
    startup: float = 0.0
    """Peak before the first step."""
    varies: float = 0.0
    """Standard deviation of what a batch takes, relative to it."""
    sees_highs: bool = True
    low: float = 200 * MIB
    work: float = 400 * MIB
    seed: int = 0
    now_s: float = 0.0
    peak: float = field(init=False)
    high: float = 0.0

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)
        self.peak = self.startup
        self.watch = StepWatch(PLAN, CAP)
        self.done = False
        self.next_look_s = 0.0
        self.pending: list[tuple[float, int]] = []

    def look(self, held: float) -> None:
        """The prober's turn: memory as it is now, and the lines that have come since."""
        high = int(self.high) if self.sees_highs else None
        self.watch.see(Look(self.now_s, int(held), int(self.peak), high))
        self.high = held
        last_s = self.last_line_s
        for at_s, steps in self.pending:
            passed = Passed(steps, (at_s - last_s) / steps, at_s)
            last_s = at_s
            if self.watch.add(passed, int(held), int(self.peak)):
                self.done = True
                break
        self.last_line_s, self.pending = last_s, []
        self.next_look_s = self.now_s + self.look_s * self.draw.uniform(0.8, 2.0)

    def spend(self, seconds: float, held: float, top: float) -> None:
        """Time in which memory goes up to ``top`` and down again."""
        ends_s, began_s = self.now_s + seconds, self.now_s
        while self.next_look_s < ends_s:
            self.now_s = max(self.now_s, self.next_look_s)
            share = (self.now_s - began_s) / seconds
            here = held + (top - held) * (1 - abs(2 * share - 1))
            reached = top if share > 0.5 else here
            self.peak, self.high = max(self.peak, reached), max(self.high, reached)
            self.look(here)
        self.peak, self.high = max(self.peak, top), max(self.high, top)
        self.now_s = ends_s

    def run(self, most: int = 3000) -> Measurement:
        """Steps until the watch is satisfied; the verdict and the evidence of it."""
        self.last_line_s = 0.0
        self.watch.begin()
        for step in range(1, most + 1):
            kept = self.low + self.rise(step)
            work = self.work * max(0.1, 1 + self.draw.gauss(0, self.varies))
            self.spend(self.step_s * self.draw.uniform(0.9, 1.1), kept, kept + work)
            if self.evaluates_every and step % self.evaluates_every == 0:
                self.spend(4 * self.step_s, kept, kept + self.work + self.evaluation)
            if step % self.line_steps == 0:
                self.pending.append((self.now_s, self.line_steps))
            if self.done:
                return self.measurement()
        raise AssertionError("never satisfied")

    def measurement(self) -> Measurement:
        evidence = self.watch.evidence
        verdict, reason, _ = evidence.judge(
            Purpose.CONFIRM, CAP, int(self.peak), spilled_bytes=0, allocator_retries=0
        )
        return Measurement(
            "script", {}, 8, "cpu", Purpose.CONFIRM, verdict, reason,
            growth=evidence.growth(CAP.cap_bytes, int(self.peak)), steps=evidence.attempted,
            notes=evidence.remarks(CAP, int(self.peak)),
        )  # fmt: skip


QUICK = {"step_s": 0.002}
"""Some 25 to 50 steps between two looks."""
SLOW = {"step_s": 1.0}
REPORTS = {"line_steps": 10}
EVALUATES = {"line_steps": 10, "evaluates_every": 60}
EPOCHS = {"evaluates_every": 25, "line_steps": 5}
LATE_LOOKS = {"look_s": 0.35}
"""A busy machine: some five steps between two looks."""
LOADED_FIRST = {"startup": 1500 * MIB}
"""Nothing that follows reaches the high-water mark of the start."""

WAYS = {
    "a line per step": {},
    "quick steps": QUICK,
    "slow steps": SLOW,
    "a line per ten steps": REPORTS,
    "evaluation and checkpoint": EVALUATES,
    "short epochs": EPOCHS,
    "busy machine": LATE_LOOKS,
    "a high start": LOADED_FIRST,
    "a high start, a busy machine": {**LOADED_FIRST, **LATE_LOOKS},
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(5))
def test_what_does_not_leak_is_stable_wherever_in_a_step_it_is_seen(way: str, seed: int) -> None:
    m = Script(**WAYS[way], seed=seed).run()  # type: ignore[arg-type]
    assert m.verdict is Verdict.STABLE, m.reason
    assert m.notes == []


SIZES = [30 * KIB, 300 * KIB, MIB, 2 * MIB]


@pytest.mark.parametrize(
    ("way", "bytes_per_step"),
    [(way, size) for way in WAYS for size in SIZES if "high start" not in way or size > 200 * KIB],
)
def test_a_leak_is_one_however_it_is_seen(way: str, bytes_per_step: float) -> None:
    m = Script(leak(bytes_per_step), **WAYS[way]).run()  # type: ignore[arg-type]
    assert m.verdict is Verdict.LEAK, (m.reason, m.notes)
    assert m.growth is not None and m.growth.dies_at_step is not None
    assert bytes_per_step / 2 < m.growth.bytes_per_step < 2 * bytes_per_step
    left = (CAP.cap_bytes - 600 * MIB) / bytes_per_step
    assert m.growth.dies_at_step < 2 * left + 1000


def test_a_small_leak_under_a_high_start_is_at_least_noted() -> None:
    m = Script(leak(30 * KIB), **{**LOADED_FIRST, **LATE_LOOKS}).run()  # type: ignore[arg-type]
    assert m.verdict is Verdict.LEAK or "per step" in m.notes[0]


def test_what_comes_after_the_last_step_is_no_peak_that_creeps() -> None:
    script = Script(evaluation=800 * MIB)
    assert script.run().passed
    script.spend(4.0, script.low, script.low + script.work + script.evaluation)
    assert script.measurement().passed


@pytest.mark.parametrize("every", [4, 8, 20])
def test_a_leak_that_comes_in_lumps_is_one(every: int) -> None:
    m = Script(leak(MIB, every)).run()
    assert m.verdict is Verdict.LEAK, (m.reason, m.notes)


@pytest.mark.parametrize("steps", [5, 20, 60, 100])
@pytest.mark.parametrize("way", ["a line per step", "a line per ten steps", "busy machine"])
def test_an_allocator_that_creeps_and_levels_off_is_not_a_leak(way: str, steps: float) -> None:
    m = Script(creep(100 * MIB, steps), **WAYS[way]).run()  # type: ignore[arg-type]
    assert m.verdict is Verdict.STABLE, m.reason


@pytest.mark.parametrize("seed", range(10))
def test_batches_of_varying_size_are_not_a_leak(seed: int) -> None:
    m = Script(varies=0.1, seed=seed).run()
    assert m.verdict is Verdict.STABLE, m.reason


@pytest.mark.parametrize("seed", range(10))
def test_without_exact_highs_the_moment_of_seeing_is_no_leak_either(seed: int) -> None:
    m = Script(sees_highs=False, seed=seed).run()
    assert m.verdict is Verdict.STABLE, m.reason


def test_without_exact_highs_a_leak_shows_in_the_high_water_mark() -> None:
    m = Script(leak(MIB), sees_highs=False).run()
    assert m.verdict is Verdict.LEAK, m.reason


def test_memory_that_seems_to_grow_under_a_mark_that_stands_still_is_a_note() -> None:
    """Seen a little later in each step, and the kernel keeps no exact highs."""
    watch = StepWatch(PLAN, CAP)
    watch.begin()
    done = False
    for i in range(1, 600):
        done = watch.add(Passed(1, 0.1, 0.1 * i), int((200 + 0.5 * i) * MIB), 700 * MIB)
        if done:
            break
    assert done
    judged = watch.evidence.judge(
        Purpose.CONFIRM, CAP, 700 * MIB, spilled_bytes=0, allocator_retries=0
    )
    assert judged[0] is Verdict.STABLE
    (note,) = watch.evidence.remarks(CAP, 700 * MIB)
    assert "cannot tell" in note and "512 KiB per step" in note


def test_a_growth_too_small_to_matter_is_a_note_that_says_when_it_would() -> None:
    m = Script(leak(8 * KIB), low=100 * MIB, work=100 * MIB, step_s=0.2).run()
    assert m.verdict is Verdict.STABLE
    (note,) = m.notes
    assert "8.0 KiB per step" in note and "220,000 steps" in note


def test_pages_that_an_allocator_gives_back_late_are_a_note_with_the_step_it_would_end_at() -> None:
    slow = Script(leak(2 * KIB), low=1800 * MIB, work=50 * MIB, look_s=0.02, step_s=0.2).run()
    assert slow.verdict is Verdict.STABLE
    (note,) = slow.notes
    assert "cannot tell" in note and "2 KiB per step" in note and "near step 255" in note


def test_of_a_leak_as_slow_more_steps_make_a_leak() -> None:
    quick = Script(leak(6 * KIB), low=1800 * MIB, work=50 * MIB, look_s=0.02, step_s=0.02).run()
    assert quick.verdict is Verdict.LEAK and quick.steps > 170


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    step_s=st.floats(0.01, 0.3),
    look_s=st.floats(0.02, 0.4),
    line_steps=st.integers(1, 20),
    evaluates_every=st.sampled_from([0, 20, 33, 60]),
    startup=st.sampled_from([0.0, 1200 * MIB]),
)
def test_no_way_of_looking_makes_a_leak_where_there_is_none(**how: object) -> None:
    assert Script(**how).run().verdict is Verdict.STABLE  # type: ignore[arg-type]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    step_s=st.floats(0.01, 0.3),
    look_s=st.floats(0.02, 0.2),
    line_steps=st.integers(1, 20),
    bytes_per_step=st.floats(100 * KIB, 2 * MIB),
)
def test_no_way_of_looking_hides_a_leak(bytes_per_step: float, **how: object) -> None:
    m = Script(leak(bytes_per_step), **how).run()  # type: ignore[arg-type]
    assert m.verdict is Verdict.LEAK, (m.reason, m.notes)
    assert m.growth is not None
    assert bytes_per_step / 2 < m.growth.bytes_per_step < 2 * bytes_per_step
