"""A study on scripted devices: what it measures, what it tells Optuna, and how it resumes."""

from __future__ import annotations

import json
from dataclasses import dataclass

import optuna
import pytest

from optimizer import samplers
from optimizer.budgets import Budget
from optimizer.events import Event
from optimizer.no_answer import why_nothing
from optimizer.records import Recommendation, Trial
from optimizer.strategies.most_capable import EXTRA_TRIALS
from optimizer.study import Study
from probes.measurement import Config, Verdict
from probes.space import Choice, Int, Space
from tests.optimizer.memory_store import (
    MemoryStore,
    ScriptedFleet,
    grid_device,
    spec,
)
from tests.probes.scripted import MIB, ScriptedDevice

WINDOW = Budget("prototyping", 30.0, 30.0, trials=20)
NO_WINDOW = Budget("smoke_test", None, 0.0, trials=20, throughput_loss=0.0)


@dataclass(frozen=True)
class Ran:
    """A study that nothing interrupted, with all it left behind."""

    recommendation: Recommendation
    store: MemoryStore
    fleet: ScriptedFleet
    events: list[Event]


@pytest.fixture(scope="module")
def whole() -> Ran:
    """A study of the whole grid within the window."""
    store, fleet, events = MemoryStore(), ScriptedFleet(grid_device), list[Event]()
    outcome = Study(spec(WINDOW), "st_1", store, fleet, report=events.append).run()
    assert outcome.recommendation is not None
    return Ran(outcome.recommendation, store, fleet, events)


def test_the_best_is_found_and_confirmed_without_measuring_everything() -> None:
    store, fleet = MemoryStore(), ScriptedFleet(grid_device)
    outcome = Study(spec(NO_WINDOW), "st_1", store, fleet).run()
    assert outcome.recommendation is not None
    assert outcome.recommendation.config == {"layers": 1, "width": 8}
    screened = [trial for trial in store.settled if trial.state == "screened"]
    assert screened and sum(t.probes for t in screened) <= 2 * len(screened)
    assert "layers=1 width=8 reaches" in screened[0].reason
    evidence = outcome.recommendation.evidence["highest_passing"]
    assert evidence["verdict"] == "stable" and evidence["purpose"] == "confirm"
    assert evidence["batch_size"] == outcome.recommendation.batch_size


def test_every_cycle_time_is_inside_the_window(whole: Ran) -> None:
    recommendation = whole.recommendation
    assert recommendation.cycle_time_s["mean"] <= WINDOW.target_s + WINDOW.flexibility_s  # type: ignore[operator]
    assert recommendation.binding == "time"
    for other in recommendation.alternatives:
        assert other["cycle_time_s"]["mean"] <= 60.0


def test_a_more_capable_model_wins_where_it_costs_little_and_both_are_shown() -> None:
    def device(config: Config) -> ScriptedDevice:
        return ScriptedDevice(step_s=lambda b: 0.01 * (1 + 0.02 * config["layers"]))

    budget = Budget("prototyping", 1200.0, 1200.0, trials=9, throughput_loss=0.15)
    outcome = Study(
        spec(budget, {"layers": Choice([1, 2, 4])}), "st_1", MemoryStore(), ScriptedFleet(device)
    ).run()
    assert outcome.recommendation is not None
    assert outcome.recommendation.config == {"layers": 4}
    assert any("The fastest was layers=1" in line for line in outcome.recommendation.explanation)
    assert {"layers": 1} in [a["config"] for a in outcome.recommendation.alternatives]


def test_nothing_fits_says_by_how_much_and_what_to_try() -> None:
    from dataclasses import replace

    def device(config: Config) -> ScriptedDevice:
        return ScriptedDevice(memory=lambda b: 5000 * MIB)

    fleet = ScriptedFleet(device)

    def probe(config: Config, ask: object) -> object:
        measurement = fleet(config, ask)  # type: ignore[arg-type]
        return replace(measurement, requested_bytes=500 * MIB, peak_bytes=900 * MIB)

    outcome = Study(spec(NO_WINDOW), "st_1", MemoryStore(), probe).run()  # type: ignore[arg-type]
    assert outcome.recommendation is None and outcome.measured
    assert "short by at least 400 MiB" in outcome.reasons[0]
    assert "precision=bf16" in outcome.reasons[0]
    assert not any("--" in reason for reason in outcome.reasons), "it may be shown on a page"


def test_nothing_is_fast_enough_names_the_fastest_config_and_says_each_reason_once() -> None:
    window = Budget("prototyping", 1.0, 0.0, trials=20)
    slow = ScriptedFleet(lambda config: ScriptedDevice(step_s=lambda b: float(config["layers"])))
    store = MemoryStore()
    outcome = Study(spec(window), "st_1", store, slow).run()
    assert outcome.recommendation is None and outcome.measured
    (reason,) = outcome.reasons
    assert "batch 1 of layers=1 width=8 takes 7 min 30 s per cycle" in reason
    assert "smaller config" in reason and "cycle_batches" in reason and "--" not in reason


def test_a_reason_that_several_configs_share_is_said_once_with_their_number() -> None:
    same = [Trial(n, {"layers": n}, "failed", "It crashed.") for n in (1, 2, 4)]
    pruned = Trial(9, {"layers": 9}, "pruned", "Costs at least as much as layers=1.")
    found = why_nothing([*same, pruned], [], NO_WINDOW)
    assert found == ["layers=1 and 2 other configs: It crashed."]


def test_too_slow_at_batch_one_is_ruled_out_after_few_probes_and_dearer_ones_are_pruned() -> None:
    def device(config: Config) -> ScriptedDevice:
        return ScriptedDevice(step_s=lambda b: 0.1 * config["layers"])

    store, fleet = MemoryStore(), ScriptedFleet(device)
    outcome = Study(spec(WINDOW), "st_1", store, fleet).run()
    assert outcome.recommendation is not None
    slow = [t for t in store.settled if t.config["layers"] == 4]
    assert slow and all(t.state in ("infeasible", "screened") and t.probes <= 2 for t in slow)


def test_what_costs_more_than_what_does_not_fit_is_pruned_and_names_its_witness() -> None:
    def device(config: Config) -> ScriptedDevice:
        return ScriptedDevice(memory=lambda b: (300 * config["layers"] + 10 * b) * MIB)

    store, space = MemoryStore(), {"layers": Choice([1, 2, 3, 4, 5, 6, 7, 8])}
    outcome = Study(
        spec(NO_WINDOW, space), "st_1", store, ScriptedFleet(device), sampler="grid"
    ).run()
    assert outcome.recommendation is not None
    states = {t.config["layers"]: t for t in store.settled}
    assert {states[n].state for n in (1, 2, 3)} == {"feasible"}
    assert {states[n].state for n in range(4, 9)} == {"infeasible", "pruned"}
    for trial in store.settled:
        if trial.state == "pruned":
            assert trial.probes == 0
            witness = int(trial.reason.partition("layers=")[2].partition(",")[0])
            assert witness < trial.config["layers"] and states[witness].state == "infeasible"


def test_infeasible_is_told_as_a_constraint_and_a_crash_as_a_failed_trial() -> None:
    def device(config: Config) -> ScriptedDevice:
        if config["layers"] == 2:
            return ScriptedDevice(faults=lambda b, p: Verdict.CRASH)
        return ScriptedDevice(memory=lambda b: (100 + 400 * config["layers"] * b) * MIB)

    store = MemoryStore()
    space: Space = {"layers": Choice([1, 2, 4])}
    Study(spec(NO_WINDOW, space), "st_1", store, ScriptedFleet(device)).run()
    told = {
        t.params["layers"]: t
        for t in samplers.replayed(samplers.build("tpe", 0), space, store.trials(), []).trials
    }
    assert told[1].constraints is not None and max(told[1].constraints.values()) <= 0
    assert told[2].state is optuna.trial.TrialState.FAIL
    assert told[4].constraints is not None and told[4].constraints["memory"] > 0


def test_a_workload_that_always_crashes_is_reported_as_unmeasured() -> None:
    fleet = ScriptedFleet(lambda config: ScriptedDevice(faults=lambda b, p: Verdict.CRASH))
    outcome = Study(spec(NO_WINDOW), "st_1", MemoryStore(), fleet).run()
    assert outcome.recommendation is None and not outcome.measured
    assert "crash" in outcome.reasons[0]


@pytest.mark.parametrize("die_after", range(1, 11))
def test_a_killed_study_resumes_without_repeating_a_probe(whole: Ran, die_after: int) -> None:
    expected = whole.recommendation
    store = MemoryStore()
    first = ScriptedFleet(grid_device, die_after=die_after)
    with pytest.raises(KeyboardInterrupt):
        Study(spec(WINDOW), "st_1", store, first).run()
    second = ScriptedFleet(grid_device)
    resumed = Study(spec(WINDOW), "st_1", store, second).run().recommendation

    assert not set(first.calls) & set(second.calls)
    assert sorted(first.calls + second.calls) == sorted(whole.fleet.calls)
    assert resumed is not None
    assert (resumed.config, resumed.batch_size) == (expected.config, expected.batch_size)


def test_a_large_space_is_searched_within_its_trials_without_repeats() -> None:
    space = {"layers": Int(1, 12), "width": Int(8, 128, step=8)}
    budget = Budget("prototyping", 60.0, 60.0, trials=12)
    store = MemoryStore()
    outcome = Study(spec(budget, space), "st_1", store, ScriptedFleet(grid_device)).run()
    assert outcome.recommendation is not None
    assert 4 <= len(store.settled) <= 12 + EXTRA_TRIALS
    assert len({repr(t.config) for t in store.settled}) == len(store.settled)


def test_predictions_are_kept_with_their_measurements(whole: Ran) -> None:
    graded = whole.store.graded
    assert {p.quantity for p in graded} == {"peak_bytes", "step_time_s"}
    assert all(p.low <= p.predicted <= p.high for p in graded)


def test_progress_events_name_the_incumbent(whole: Ran) -> None:
    assert [e.kind for e in whole.events[:3]] == ["trial", "probe", "measured"]
    last = whole.events[-1]
    assert last.incumbent is not None
    assert 0 < last.trials_settled < last.trials_planned == 9


def test_the_recommendation_document_is_plain_json_with_every_key_of_the_contract(
    whole: Ran,
) -> None:
    document = json.loads(json.dumps(whole.recommendation.to_dict()))
    keys = """id workload budget device config batch_size accumulation cycle_batches cycle_time_s
        throughput_samples_per_s peak_bytes parameters binding alternatives evidence study valid"""
    for key in keys.split():
        assert key in document, key
    assert set(document["cycle_time_s"]) == {"mean", "low", "high", "median"}
    assert set(document["study"]) >= {"id", "trials", "pruned", "probes", "wall_s"}
    assert set(document["valid"]) >= {"fingerprint", "created_at"}
