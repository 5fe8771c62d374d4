"""When a search ends, and that it says why."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer.budgets import Budget
from optimizer.forecast import Forecast
from optimizer.limits import SearchLimits
from optimizer.predictors import Distribution
from optimizer.stopping import LEAST_CHANCE, Stopping
from optimizer.study import Study
from tests.optimizer.memory_store import MemoryStore, ScriptedFleet, grid_device, spec


@dataclass
class Clock:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


def forecast(layers: int, chance: float) -> Forecast:
    return Forecast({"layers": layers}, 8, 1.0, Distribution(5.0, 0.1), chance, chance)


def test_it_goes_on_without_a_reason() -> None:
    stopping = Stopping(trials=4)
    assert not stopping.out_of_time()
    assert not stopping.out_of_trials(used=3, configs=9)
    assert not stopping.out_of_chances([forecast(1, LEAST_CHANCE / 2), forecast(2, LEAST_CHANCE)])
    assert (stopping.reason, stopping.timed_out) == ("", False)


def test_it_stops_when_the_time_limit_is_over() -> None:
    clock = Clock()
    stopping = Stopping(trials=4, timeout_s=60, clock=clock)
    clock.now_s += 59
    assert not stopping.out_of_time()
    clock.now_s += 1
    assert stopping.out_of_time() and stopping.timed_out
    assert "60 s" in stopping.reason


def test_it_stops_when_the_trials_are_used_up_and_says_what_is_left() -> None:
    stopping = Stopping(trials=4)
    assert stopping.out_of_trials(used=4, configs=9)
    assert "4 trials" in stopping.reason and "5 more configs were" in stopping.reason
    assert "budget" not in stopping.reason  # the option --trials may have set them
    one = Stopping(trials=1)
    assert one.out_of_trials(used=1, configs=2)
    assert "1 trial," in one.reason and "1 more config was" in one.reason


def test_a_space_that_was_searched_completely_needs_no_reason() -> None:
    stopping = Stopping(trials=20)
    assert stopping.out_of_trials(used=9, configs=9)
    assert stopping.reason == ""


def test_it_stops_when_no_config_is_likely_and_names_the_likeliest() -> None:
    stopping = Stopping(trials=20)
    assert stopping.out_of_chances([forecast(1, 0.001), forecast(2, 0.01), forecast(3, 0.0)])
    assert "3 more configs" in stopping.reason and "layers=2" in stopping.reason


def test_without_forecasts_it_cannot_tell() -> None:
    assert not Stopping(trials=20).out_of_chances([])


def test_each_step_begins_without_a_reason() -> None:
    """What another process settles may make a config worth measuring again."""
    stopping = Stopping(trials=4)
    assert stopping.out_of_chances([forecast(1, 0.0)])
    assert not stopping.out_of_time()
    assert stopping.reason == ""


def test_a_recommendation_says_that_the_trials_were_used_up() -> None:
    budget = Budget("prototyping", 30.0, 30.0, trials=2)
    found = Study(spec(budget), "st_1", MemoryStore(), ScriptedFleet(grid_device)).run()
    assert found.recommendation is not None
    assert any("2 trials" in line for line in found.recommendation.explanation)
    assert found.recommendation.study["trials"] == 2


def test_a_study_without_time_begins_no_config() -> None:
    fleet = ScriptedFleet(grid_device)
    limits = SearchLimits(timeout_s=0.0)
    budget = Budget("prototyping", 30.0, 30.0, trials=20)
    outcome = Study(spec(budget), "st_1", MemoryStore(), fleet, limits=limits).run()
    assert outcome.recommendation is None and fleet.calls == []
    assert any("time limit" in reason for reason in outcome.reasons)
