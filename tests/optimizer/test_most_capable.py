"""The most capable model that fits the window: found after the search, confirmed, and told."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import pytest

from optimizer import study as studies
from optimizer.budgets import Budget, Objective
from optimizer.limits import SearchLimits
from optimizer.records import Recommendation
from optimizer.stopping import Stopping
from optimizer.strategies.most_capable import EXTRA_TRIALS
from optimizer.study import Study
from probes.measurement import Config
from probes.space import Choice, Space
from tests.optimizer.memory_store import MemoryStore, ScriptedFleet, spec
from tests.optimizer.test_together import Shared, View
from tests.probes.scripted import MIB, ScriptedDevice

WINDOW = Budget("prototyping", 30.0, 30.0, trials=20)
SPACE: Space = {"layers": Choice([1, 2, 3, 4, 6, 8]), "width": Choice([8, 16, 32, 64])}
LONGEST_STEP_S = 60.0 / 450


def device(config: Config) -> ScriptedDevice:
    """Time forbids layers=8 and memory forbids width=64 from 4 layers on, at any batch size."""
    size = config["layers"] * config["width"]
    return ScriptedDevice(
        memory=lambda b: (4 * size + 0.1 * size * b) * MIB,
        static_bytes=size * MIB,
        step_s=lambda b: 0.02 * config["layers"] * (1 + 0.02 * b),
    )


def fits(config: Config) -> bool:
    one = device(config)
    return one.step_s(1) <= LONGEST_STEP_S and one.memory(1) <= one.cap_bytes


def parameters(config: Config) -> int:
    return int(config["layers"] * config["width"] ** 2)


def run(
    store: MemoryStore,
    fleet: ScriptedFleet,
    budget: Budget = WINDOW,
    limits: SearchLimits | None = None,
) -> Recommendation:
    made = Study(spec(budget, SPACE), "st_1", store, fleet, limits=limits).run()
    assert made.recommendation is not None
    return made.recommendation


def test_it_is_found_and_confirmed_without_measuring_everything() -> None:
    store = MemoryStore()
    found = run(store, ScriptedFleet(device))
    model = found.most_capable
    assert model is not None and found.most_capable_note == ""
    expected = max(
        (
            {"layers": layers, "width": width}
            for layers in (1, 2, 3, 4, 6, 8)
            for width in (8, 16, 32, 64)
            if fits({"layers": layers, "width": width})
        ),
        key=lambda config: config["layers"] * config["width"],
    )
    assert model["config"] == expected != found.config
    assert model["parameters"] > (found.parameters or 0)
    run_ = model["evidence"]["highest_passing"]
    assert (run_["verdict"], run_["purpose"]) == ("stable", "confirm")
    assert run_["batch_size"] == model["batch_size"]
    assert model["cycle_time_s"]["mean"] <= 60.0
    assert model["share_of_window"] == pytest.approx(model["cycle_time_s"]["mean"] / 60.0)
    assert sum(trial.state == "feasible" for trial in store.settled) < 24 / 2
    assert any(f"batch {model['batch_size']}" in line for line in found.explanation)


def test_the_recommendation_is_the_same_without_it_and_costs_less() -> None:
    with_it, without = ScriptedFleet(device), ScriptedFleet(device)
    found = run(MemoryStore(), with_it)
    plain = run(MemoryStore(), without, replace(WINDOW, most_capable=False))
    assert (found.config, found.batch_size) == (plain.config, plain.batch_size)
    assert without.calls == with_it.calls[: len(without.calls)] != with_it.calls
    assert plain.most_capable is None or plain.most_capable["evidence"]["highest_passing"]
    assert "not determined" in plain.most_capable_note


def test_it_takes_few_trials_beyond_those_of_the_budget() -> None:
    store = MemoryStore()
    run(store, ScriptedFleet(device), replace(WINDOW, trials=3))
    assert 3 < len(store.settled) <= 3 + EXTRA_TRIALS


def test_nothing_is_begun_for_it_after_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    fleet, probes = ScriptedFleet(device), len(run_calls_of_the_search())
    clock = partial(Stopping, clock=lambda: float(len(fleet.calls)))
    monkeypatch.setattr(studies, "Stopping", clock)  # time is counted in probes
    found = run(MemoryStore(), fleet, limits=SearchLimits(timeout_s=probes))
    assert len(fleet.calls) == probes
    assert "not determined" in found.most_capable_note


def test_a_run_that_was_killed_continues_and_ends_the_same() -> None:
    few = replace(WINDOW, trials=6)
    whole_fleet = ScriptedFleet(device)
    whole = run(MemoryStore(), whole_fleet, few)
    before = len(run_calls_of_the_search(few))
    assert before < len(whole_fleet.calls)
    for die_after in range(before, len(whole_fleet.calls)):
        store, first = MemoryStore(), ScriptedFleet(device, die_after=die_after)
        with pytest.raises(KeyboardInterrupt):
            run(store, first, few)
        second = ScriptedFleet(device)
        resumed = run(store, second, few)
        assert not set(first.calls) & set(second.calls)
        assert resumed.most_capable is not None and whole.most_capable is not None
        assert resumed.most_capable["config"] == whole.most_capable["config"]
        assert resumed.most_capable["batch_size"] == whole.most_capable["batch_size"]


def run_calls_of_the_search(budget: Budget = WINDOW) -> list[tuple[str, int, str]]:
    fleet = ScriptedFleet(device)
    run(MemoryStore(), fleet, replace(budget, most_capable=False))
    return fleet.calls


def test_a_finished_study_measures_nothing_more() -> None:
    store = MemoryStore()
    first = run(store, ScriptedFleet(device))
    again = ScriptedFleet(device)
    second = run(store, again)
    assert not again.calls and second.most_capable == first.most_capable


def test_two_processes_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(studies, "POLL_S", 0.001)
    shared, together = Shared(), threading.Barrier(2, timeout=60)
    fleets = {name: ScriptedFleet(device) for name in ("a", "b")}

    def one(name: str) -> Recommendation:
        together.wait()
        return run(View(shared, name), fleets[name])

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(one, fleets, timeout=300))
    alone = run(MemoryStore(), ScriptedFleet(device)).most_capable
    assert alone is not None
    assert [each.most_capable["config"] for each in found if each.most_capable] == (
        [alone["config"]] * 2
    )
    calls = [call for fleet in fleets.values() for call in fleet.calls]
    assert len(calls) == len(set(calls)), "a probe was repeated"


@pytest.mark.parametrize(
    ("budget", "word"),
    [
        (Budget("smoke_test", None, 0.0, trials=20), "no time window"),
        (replace(WINDOW, objective=Objective.CAPACITY), "objective"),
    ],
)
def test_there_is_none_where_the_question_has_no_meaning(budget: Budget, word: str) -> None:
    found = run(MemoryStore(), ScriptedFleet(device), budget)
    assert found.most_capable is None and word in found.most_capable_note


def test_there_is_none_where_the_recommended_model_is_the_most_capable() -> None:
    only: Space = {"layers": Choice([1])}
    outcome = Study(
        spec(WINDOW, only), "st_1", MemoryStore(), ScriptedFleet(lambda config: ScriptedDevice())
    ).run()
    found = outcome.recommendation
    assert found is not None and found.most_capable is None
    assert "The recommended model is the most capable" in found.most_capable_note


def test_what_uses_of_window_and_memory_is_told() -> None:
    found = run(MemoryStore(), ScriptedFleet(device))
    assert found.share_of_window == pytest.approx(found.cycle_time_s["mean"] / 60.0)
    assert found.share_of_memory == pytest.approx(found.peak_bytes / found.limit_bytes)
    told = next(line for line in found.explanation if line.startswith("This uses"))
    assert f"{found.share_of_window:.0%}" in told and f"{found.share_of_memory:.0%}" in told


def test_a_recommendation_of_an_earlier_release_has_none_of_it() -> None:
    document = run(MemoryStore(), ScriptedFleet(device)).to_dict()
    for key in ("share_of_window", "share_of_memory", "most_capable", "most_capable_note"):
        del document[key]
    old = Recommendation.from_dict(document)
    assert old.most_capable is None and old.share_of_window is None
