"""What each sampler proposes: the same from the same trials, before and after a restart."""

from __future__ import annotations

from functools import cache

import pytest

from optimizer import samplers
from optimizer.budgets import Budget
from optimizer.proposals import Proposals, Sampler
from optimizer.records import Trial, config_key
from optimizer.study import Study
from probes.errors import InputError
from probes.measurement import Config
from probes.space import Choice, Float, Int, Space
from tests.optimizer.memory_store import MemoryStore, ScriptedFleet, grid_device, spec

SPACE: Space = {"layers": Int(1, 8), "width": Choice([8, 16, 32, 64])}
BUDGET = Budget("prototyping", 30.0, 30.0, trials=11)
"""Ten are drawn at random by Optuna's samplers, before they learn."""
OPTUNAS = [sampler for sampler in Sampler if sampler not in (Sampler.PREDICTIVE, Sampler.GRID)]


def settled(number: int, config: Config) -> Trial:
    """Every fifth fails; large models do not fit."""
    if number % 5 == 4:
        return Trial(number, config, "failed", "crash")
    size = config["layers"] * config["width"]
    if size > 200:
        return Trial(number, config, "infeasible", "", violation={"memory": size / 200 - 1})
    return Trial(
        number,
        config,
        "feasible",
        "",
        throughput_samples_per_s=1000.0 / size,
        violation={"memory": size / 200 - 1},
    )


def proposed(sampler: str, n: int, restart_after: int | None = None) -> list[Config]:
    proposals, trials = Proposals(SPACE, 0, sampler), list[Trial]()
    for number in range(n):
        if number == restart_after:
            proposals = Proposals(SPACE, 0, sampler)
            trials = [Trial.from_dict(trial.to_dict()) for trial in trials]
        config = proposals.propose(trials, [])
        assert config is not None
        trials.append(settled(number, config))
    return [trial.config for trial in trials]


@pytest.mark.parametrize("sampler", Sampler)
def test_the_same_trials_give_the_same_proposal_after_a_restart(sampler: str) -> None:
    whole = proposed(sampler, 12)
    assert len({config_key(config) for config in whole}) == 12, "none is proposed twice"
    assert proposed(sampler, 12, restart_after=11) == whole


@cache
def calls_of_an_uninterrupted_study(sampler: str) -> list[tuple[str, int, str]]:
    fleet = ScriptedFleet(grid_device)
    Study(spec(BUDGET, SPACE), "st_1", MemoryStore(), fleet, sampler=sampler).run()
    return fleet.calls


@pytest.mark.parametrize("sampler", Sampler)
@pytest.mark.parametrize("die_after", [3, 13])
def test_a_killed_study_goes_on_as_if_it_had_not_been(sampler: str, die_after: int) -> None:
    store, first = MemoryStore(), ScriptedFleet(grid_device, die_after=die_after)
    with pytest.raises(KeyboardInterrupt):
        Study(spec(BUDGET, SPACE), "st_1", store, first, sampler=sampler).run()
    second = ScriptedFleet(grid_device)
    Study(spec(BUDGET, SPACE), "st_1", store, second, sampler=sampler).run()
    assert first.calls + second.calls == calls_of_an_uninterrupted_study(sampler)


@pytest.mark.parametrize("sampler", OPTUNAS)
def test_seeds_differ(sampler: str) -> None:
    first = [Proposals(SPACE, seed, sampler).propose([], []) for seed in range(8)]
    assert len({str(config) for config in first}) > 1


@pytest.mark.parametrize("sampler", Sampler)
def test_what_another_process_is_settling_is_not_proposed(sampler: str) -> None:
    trials = [settled(n, config) for n, config in enumerate(proposed(sampler, 11))]
    proposals, busy = Proposals(SPACE, 0, sampler), list[Config]()
    for _ in range(3):
        config = proposals.propose(trials, busy)
        assert config is not None and config not in busy
        busy.append(config)


@pytest.mark.parametrize("sampler", Sampler)
def test_a_space_that_is_used_up_gives_nothing(sampler: str) -> None:
    space: Space = {"layers": Choice([1, 2]), "width": Choice([8])}
    trials = [settled(n, {"layers": n + 1, "width": 8}) for n in range(2)]
    assert Proposals(space, 0, sampler).propose(trials, []) is None


def test_a_continuous_space_is_sampled_within_its_bounds() -> None:
    space: Space = {"width": Int(8, 64, step=8), "dropout": Float(0.1, 0.5)}
    config = Proposals(space, 0, "tpe").propose([], [])
    assert config is not None
    assert config["width"] % 8 == 0 and 0.1 <= config["dropout"] <= 0.5


def test_a_sampler_that_does_not_exist_or_does_not_work_here_is_refused() -> None:
    with pytest.raises(InputError, match="nsga2"):
        Proposals(SPACE, 0, "nsga3")
    with pytest.raises(InputError, match="finite"):
        Proposals({"dropout": Float(0.1, 0.5)}, 0, "grid")


def test_the_generation_of_a_replayed_trial_follows_from_its_place() -> None:
    space: Space = {"layers": Int(1, 200)}
    trials = [
        Trial(n, {"layers": n + 1}, "feasible", "", throughput_samples_per_s=200.0 - n)
        for n in range(samplers.POPULATION + 5)
    ]
    sampler = samplers.ReplayedNSGAII(seed=0, population_size=samplers.POPULATION)
    study = samplers.replayed(sampler, space, trials, [])
    asked = study.ask({})
    frozen = study.get_trials(deepcopy=False)
    assert sampler.get_trial_generation(study, frozen[samplers.POPULATION - 1]) == 0
    assert sampler.get_trial_generation(study, frozen[asked.number]) == 1
    assert len(sampler.get_population(study, 0)) == samplers.POPULATION
    assert len(sampler.get_population(study, 1)) == 5
    config = next(samplers.draw(study, space))
    assert 1 <= config["layers"] <= 200
