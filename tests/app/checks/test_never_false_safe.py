"""Whatever was measured, an answer never lets a run pass that the measurements speak against."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from app.checks.decide import decide
from app.checks.plan import CheckAnswer, CycleWindow, MeasuredRun, Room, RunPlan, StepSeconds

MEMORY = ("oom", "leak", "spill")
CAP = 90
ROOM = Room(limit_bytes=100, headroom=0.1)
BATCHES = st.integers(1, 6)
FULL = {"confirmed": True, "step": StepSeconds(8, 7, 9)}
KINDS: list[dict[str, Any]] = [
    FULL,
    FULL,
    {**FULL, "step": StepSeconds(3, 2, 4), "static_bytes": 10},
    {**FULL, "step": None},
    {**FULL, "tainted": True, "memory_tainted": True},
    {**FULL, "accumulation": 4},
    {**FULL, "changes": ("driver 1 -> 2",)},
    {**FULL, "elsewhere": True},
    {**FULL, "cap_bytes": 200},
    {"step": StepSeconds(5, 4, 6)},  # a few steps
    {"verdict": "oom"},
    {"verdict": "oom", "confirmed": True, "requested_bytes": 30},
    {"verdict": "oom", "memory_tainted": True},
    {"verdict": "oom", "cap_bytes": 50},
    {"verdict": "oom", "cap_bytes": None},
    {"verdict": "oom", "changes": ("driver 1 -> 2",)},
    {"verdict": "leak", "confirmed": True},
    {"verdict": "leak", "confirmed": True, "memory_tainted": True},
    {"verdict": "spill"},
    {"verdict": "shape_limit"},
    {"verdict": "unsupported", "refused": True},
    {"verdict": "timeout"},
    {"verdict": "crash", "confirmed": True},
]


def made(kind: dict[str, Any], batch_size: int, peak_bytes: int | None) -> MeasuredRun:
    usual: dict[str, Any] = {
        "accumulation": 1, "confirmed": False, "verdict": "stable", "cap_bytes": CAP,
    }  # fmt: skip
    return MeasuredRun(
        id=0, batch_size=batch_size, peak_bytes=peak_bytes, reason="Why.", **{**usual, **kind}
    )


RUNS = st.builds(made, st.sampled_from(KINDS), BATCHES, st.sampled_from([None, 20, 60, 60, 90, 95]))
"""Of small numbers, so that they meet."""


def numbered(runs: list[MeasuredRun]) -> list[MeasuredRun]:
    return [replace(run, id=len(runs) - n) for n, run in enumerate(runs)]


def histories() -> st.SearchStrategy[list[MeasuredRun]]:
    """Any measurements of one config, the newest first."""
    return st.lists(RUNS, max_size=8).map(numbered)


PLANS = st.builds(
    RunPlan,
    st.just("net"),
    st.just({"layers": 2}),
    BATCHES,
    st.sampled_from([1, 1, 4]),
    st.one_of(
        st.none(), st.builds(CycleWindow, st.just("smoke_test"), st.just(1), st.integers(1, 10))
    ),
)


def valid(plan: RunPlan, runs: list[MeasuredRun]) -> list[MeasuredRun]:
    alike = [run for run in runs if (run.accumulation > 1) == (plan.accumulation > 1)]
    return [run for run in alike if not run.changes and not run.elsewhere]


def shows_that_it_fits(run: MeasuredRun, batch_size: int) -> bool:
    in_full = run.confirmed and run.verdict == "stable" and run.batch_size >= batch_size
    return in_full and run.peak_bytes is not None and run.peak_bytes <= CAP


def shows_that_it_fails(run: MeasuredRun, batch_size: int) -> bool:
    """Whatever memory others took meanwhile: that is looked at apart."""
    if run.batch_size > batch_size:
        return False
    if run.verdict == "stable":
        return run.peak_bytes is not None and run.peak_bytes > CAP
    of_memory = run.verdict in MEMORY and (run.cap_bytes is None or run.cap_bytes >= CAP)
    return of_memory or run.verdict in ("shape_limit", "unsupported")


REFUSED_BELOW_A_FAILURE = [
    made(FULL, 3, 60),
    made({"verdict": "oom"}, 2, 60),
    made({"verdict": "unsupported", "refused": True}, 1, None),
]


@settings(max_examples=300, deadline=None)
@given(PLANS, histories())
@example(RunPlan("net", {"layers": 2}, 3, 1), numbered(REFUSED_BELOW_A_FAILURE))
def test_fits_rests_on_a_full_run_that_nothing_speaks_against(
    plan: RunPlan, runs: list[MeasuredRun]
) -> None:
    answer = decide(plan, ROOM, runs)
    if answer.verdict != "fits":
        return
    counted = valid(plan, runs)
    witnesses = [run for run in counted if shows_that_it_fits(run, plan.batch_size)]
    assert witnesses, "above the highest that passed a stability run"
    against = [
        run
        for run in counted
        if shows_that_it_fails(run, plan.batch_size) and not run.memory_tainted
    ]
    own = [run.id for run in witnesses if run.batch_size == plan.batch_size]
    for run in against:
        assert run.batch_size < plan.batch_size, "this very batch failed"
        assert own and run.id < max(own), "a smaller batch failed, and this one has not run since"
    assert not any(run.refused for run in counted)
    assert answer.peak_bytes is not None and answer.peak_bytes <= CAP
    assert answer.spare_bytes == CAP - answer.peak_bytes


@settings(max_examples=300, deadline=None)
@given(PLANS, histories())
def test_in_time_rests_on_a_time_that_was_measured(plan: RunPlan, runs: list[MeasuredRun]) -> None:
    answer = decide(plan, ROOM, runs)
    if answer.verdict != "fits" or plan.window is None:
        return
    longest_s = plan.window.longest_cycle_s
    assert longest_s is not None
    assert any(
        run.step is not None
        and run.accumulation == plan.accumulation
        and run.batch_size >= plan.batch_size
        and run.step.mean <= longest_s
        for run in valid(plan, runs)
    )


@settings(max_examples=300, deadline=None)
@given(PLANS, histories())
def test_no_rests_on_a_run_that_failed_or_was_too_slow(
    plan: RunPlan, runs: list[MeasuredRun]
) -> None:
    answer = decide(plan, ROOM, runs)
    counted = valid(plan, runs)
    if answer.verdict == "does_not_fit":
        assert any(shows_that_it_fails(run, plan.batch_size) or run.refused for run in counted)
    if answer.verdict == "too_slow":
        assert plan.window is not None and plan.window.longest_cycle_s is not None
        assert any(
            run.step is not None
            and run.accumulation == plan.accumulation
            and run.batch_size <= plan.batch_size
            and run.step.mean > plan.window.longest_cycle_s
            and not run.tainted
            for run in counted
        )
    if answer.verdict == "stale":
        assert not [run for run in runs if not run.changes and not run.elsewhere]


@settings(max_examples=300, deadline=None)
@given(PLANS, histories(), st.booleans())
def test_the_largest_batch_that_is_named_does_fit(
    plan: RunPlan, runs: list[MeasuredRun], accept_brackets: bool
) -> None:
    def answered(planned: RunPlan) -> CheckAnswer:
        return decide(planned, ROOM, runs, accept_brackets=accept_brackets)

    largest = answered(plan).largest_batch
    if largest is not None:
        alone = RunPlan(plan.workload, plan.config, largest, plan.accumulation)
        assert answered(alone).verdict == "fits"
