"""Whatever was measured, an answer never lets a run pass that the measurements speak against."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from app.checks.decide import decide
from app.checks.plan import Answer, Plan, Room, Run, StepSeconds, Window

VERDICTS = (
    "stable", "stable", "stable", "oom", "leak", "spill", "shape_limit", "timeout", "crash",
    "non_finite", "unsupported",
)  # fmt: skip
MEMORY = ("oom", "leak", "spill")
CAP = 90
ROOM = Room(limit_bytes=100, headroom=0.1)
BATCHES = st.integers(1, 12)


@st.composite
def histories(draw: st.DrawFn) -> list[Run]:
    """Any measurements of one config, the newest first: of small numbers, so that they meet."""
    runs = []
    for number in range(draw(st.integers(0, 8))):
        verdict = draw(st.sampled_from(VERDICTS))
        step_s = draw(st.integers(1, 20))
        timed = verdict == "stable" and draw(st.booleans())
        runs.append(
            Run(
                id=number,
                batch_size=draw(BATCHES),
                accumulation=draw(st.sampled_from([1, 1, 1, 4])),
                confirmed=draw(st.booleans()),
                verdict=verdict,
                reason="Why.",
                peak_bytes=draw(st.one_of(st.none(), st.integers(1, 120))),
                cap_bytes=draw(st.sampled_from([None, 50, CAP, 200])),
                static_bytes=draw(st.sampled_from([None, 10])),
                requested_bytes=draw(st.sampled_from([None, 30])),
                step=StepSeconds(step_s, step_s * 0.9, step_s * 1.1) if timed else None,
                tainted=draw(st.booleans()),
                memory_tainted=draw(st.sampled_from([False, False, True])),
                refused=verdict == "unsupported" and draw(st.booleans()),
                changes=draw(st.sampled_from([(), (), (), ("driver 1 -> 2",)])),
                elsewhere=draw(st.sampled_from([False, False, False, True])),
            )
        )
    return runs[::-1]


PLANS = st.builds(
    Plan,
    st.just("net"),
    st.just({"layers": 2}),
    BATCHES,
    st.sampled_from([1, 1, 4]),
    st.one_of(st.none(), st.builds(Window, st.just("smoke_test"), st.just(1), st.integers(1, 20))),
)


def valid(plan: Plan, runs: list[Run]) -> list[Run]:
    alike = [run for run in runs if (run.accumulation > 1) == (plan.accumulation > 1)]
    return [run for run in alike if not run.changes and not run.elsewhere]


def shows_that_it_fits(run: Run, batch_size: int) -> bool:
    in_full = run.confirmed and run.verdict == "stable" and run.batch_size >= batch_size
    return in_full and run.peak_bytes is not None and run.peak_bytes <= CAP


def shows_that_it_fails(run: Run, batch_size: int) -> bool:
    """Whatever memory others took meanwhile: that is looked at apart."""
    if run.batch_size > batch_size:
        return False
    if run.verdict == "stable":
        return run.peak_bytes is not None and run.peak_bytes > CAP
    of_memory = run.verdict in MEMORY and (run.cap_bytes is None or run.cap_bytes >= CAP)
    return of_memory or run.verdict in ("shape_limit", "unsupported")


@settings(max_examples=400, deadline=None)
@given(PLANS, histories())
def test_fits_rests_on_a_full_run_that_nothing_speaks_against(plan: Plan, runs: list[Run]) -> None:
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


@settings(max_examples=400, deadline=None)
@given(PLANS, histories())
def test_in_time_rests_on_a_time_that_was_measured(plan: Plan, runs: list[Run]) -> None:
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


@settings(max_examples=400, deadline=None)
@given(PLANS, histories())
def test_no_rests_on_a_run_that_failed_or_was_too_slow(plan: Plan, runs: list[Run]) -> None:
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


@settings(max_examples=400, deadline=None)
@given(PLANS, histories(), st.booleans())
def test_the_largest_batch_that_is_named_does_fit(
    plan: Plan, runs: list[Run], accept_brackets: bool
) -> None:
    def answered(planned: Plan) -> Answer:
        return decide(planned, ROOM, runs, accept_brackets=accept_brackets)

    largest = answered(plan).largest_batch
    if largest is not None:
        alone = Plan(plan.workload, plan.config, largest, plan.accumulation)
        assert answered(alone).verdict == "fits"
