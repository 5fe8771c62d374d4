"""The false-safe benchmark can see a failure, and its scripted goal holds."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest

from benchmarks.false_safe import leak_rule
from benchmarks.false_safe.families import GOAL, LIMITS
from benchmarks.false_safe.rates import upper_bound
from benchmarks.false_safe.real import BUDGETS_MIB, CONFIGS, Outcome, cases, read, summary
from benchmarks.false_safe.replay import Replay, train
from benchmarks.false_safe.run import markdown
from benchmarks.false_safe.scripted import run_all, search_once, true_edge
from benchmarks.false_safe.simulation import (
    MIB,
    Burst,
    Creep,
    Leak,
    OutOfMemoryError,
    Process,
    Tenant,
    Training,
)
from probes.job import BRACKET_PLAN, CONFIRM_PLAN
from probes.measurement import Verdict

LIMIT = 1000 * MIB


def training(**changes: object) -> Training:
    return Training(LIMIT, 100 * MIB, lambda b: 10 * MIB * b, **changes)  # type: ignore[arg-type]


def confirm(what: Training, batch_size: int) -> Replay:
    return Replay(what, batch_size, CONFIRM_PLAN, headroom=0.05, seed="0")


def test_no_failure_in_many_trials_is_the_rule_of_three() -> None:
    assert upper_bound(0, 1000) == pytest.approx(3 / 1000, rel=0.01)
    assert upper_bound(0, 0) == upper_bound(5, 5) == 1.0


def test_the_upper_bound_is_that_of_clopper_and_pearson() -> None:
    assert upper_bound(1, 60) == pytest.approx(0.0766, abs=1e-4)
    assert upper_bound(10, 100) == pytest.approx(0.1637, abs=1e-4)


def test_the_edge_is_where_a_settled_run_meets_the_cap() -> None:
    assert true_edge(training()) == 85
    assert true_edge(training(creep=Creep(0.25, 10))) == 68
    assert true_edge(training(burst=Burst(0.10, 5))) == 75


def test_a_confirmation_at_the_edge_passes_and_one_above_it_fails() -> None:
    assert confirm(training(), 85).run().verdict is Verdict.STABLE
    above = confirm(training(), 86).run()
    assert above.verdict is Verdict.OOM
    assert above.requested_bytes is not None and above.peak_bytes is not None
    assert above.peak_bytes + above.requested_bytes > 0.95 * LIMIT


def test_a_leak_and_a_burst_within_the_confirmation_are_seen_and_a_bracket_misses_them() -> None:
    leaking, bursting = training(leak=Leak(MIB)), training(burst=Burst(0.3, 20))
    assert confirm(leaking, 8).run().verdict is Verdict.LEAK
    assert confirm(bursting, 80).run().verdict is Verdict.OOM
    for what, batch in ((leaking, 8), (bursting, 80)):
        bracket = Replay(what, batch, BRACKET_PLAN, headroom=0.05, seed="0").run()
        assert bracket.verdict is Verdict.STABLE


def test_the_longer_run_has_the_whole_limit_and_says_where_it_failed() -> None:
    assert train(training(), 90, 300, seed="0") == ""
    assert train(training(), 91, 300, seed="0").startswith("step ")
    late = training(burst=Burst(0.3, 200))
    assert train(late, 80, 300, seed="0").startswith("step 200 of 300")


def test_another_process_shrinks_what_is_allowed() -> None:
    shared = Process(training(tenant=Tenant(0.3)), 62, seed="0")
    shared.build()
    with pytest.raises(OutOfMemoryError):
        shared.step(worst_case=True)
    unseen = Process(
        training(tenant=Tenant(0.3, during_search=False)), 62, seed="0", is_search=True
    )
    unseen.build()
    unseen.step(worst_case=True)
    assert unseen.foreign_bytes == 0


@pytest.mark.parametrize("name", GOAL)
def test_no_recommendation_on_a_device_that_misbehaves_in_time_fails_later(name: str) -> None:
    outcomes = [search_once(GOAL[name], f"{name} {i}") for i in range(12)]
    assert [o for o in outcomes if o.failure] == []
    assert all(o.max_batch for o in outcomes if o.true_edge is not None)
    assert sum(o.false_leaks for o in outcomes) == 0


def test_no_single_confirmation_is_wrong_about_a_leak_or_passes_one_without_a_word() -> None:
    result = leak_rule.run(8)
    assert result["total"]["probes"] == 8 * len(result["without"])
    assert result["total"]["false_leaks"] == 0
    assert result["total"]["silent"] == 0
    clean = result["with"]["none"]
    assert clean["leak"] + clean["oom"] == clean["runs"]


@pytest.mark.parametrize("lump", leak_rule.LUMPS)
@pytest.mark.parametrize("fills_at", [500, 2000])
def test_a_leak_is_found_with_its_bytes_per_step(fills_at: int, lump: int) -> None:
    case = leak_rule.leaking(leak_rule.NOISES["0.1 %"], fills_at, lump)
    assert case.training.leak is not None
    measurement = leak_rule.confirm(case, "0")
    assert measurement.verdict is Verdict.LEAK
    said = re.search(r"grows by ([\d.]+) ([KM])iB per step.*near step (\d+)", measurement.reason)
    assert said is not None
    per_step = float(said[1]) * {"K": 1024, "M": MIB}[said[2]]
    assert per_step == pytest.approx(case.training.leak.bytes_per_step, rel=0.1)
    assert int(said[3]) < fills_at, "the cap is reached before the limit"


def test_what_happens_after_the_confirmation_does_fail() -> None:
    name = "burst after the confirmation"
    assert sum(bool(search_once(LIMITS[name], f"{name} {i}").failure) for i in range(5)) >= 4


def test_a_search_is_the_same_again_from_its_seed() -> None:
    first, again = (search_once(GOAL["noise"], "noise 3") for _ in range(2))
    assert first == again


def test_real_cases_are_all_different_and_begin_with_every_workload() -> None:
    many = list(itertools.islice(cases(), 200))
    assert len({case.identity for case in many}) == 200
    assert [case.workload for case in many[: len(CONFIGS)]] == list(CONFIGS)
    first_of_all = {(c.config["width"], c.budget_mib) for c in many if c.workload == "Mlp"}
    assert len(first_of_all) == 3 * len(BUDGETS_MIB)


def outcome(case: str, verdict: str) -> Outcome:
    return Outcome(case, "Mlp", 8, "memory", "", 4, 100, 1.0, 30, 0.9, 300, verdict, "why", 0.9)


def test_real_outcomes_are_read_back_without_the_line_that_a_kill_cut(tmp_path: Path) -> None:
    work = tmp_path / "work.jsonl"
    kept = outcome("a", "stable")
    work.write_text(json.dumps(asdict(kept)) + "\n" + json.dumps(asdict(outcome("b", "oom")))[:50])
    assert read(work) == {"a": kept}


def test_the_tables_show_what_failed() -> None:
    real = summary([outcome("a", "stable"), outcome("b", "oom")])
    assert (real["total"]["recommended"], real["total"]["false_safe"]) == (2, 1)
    text = markdown({"scripted": run_all(1), "real": real})
    assert "- b: batch 8, oom: why" in text
    assert "1 of 2 recommendations failed later" in text
