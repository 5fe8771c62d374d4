"""What is foreseen of configs that were not measured, and the chance that one is chosen."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from optimizer.budgets import Budget, Objective
from optimizer.choose import candidates, choose
from optimizer.forecast import Edges, batch_grid, forecasts
from optimizer.predictors import Distribution, Predictors, fit_sizes
from optimizer.records import Trial
from probes.max_batch import Ask
from probes.measurement import Config, Measurement, Purpose
from probes.space import Choice, Float, Int, Space
from tests.probes.scripted import MIB, ScriptedDevice

SPACE: Space = {
    "layers": Int(1, 8),
    "width": Choice([16, 32, 64, 128]),
    "precision": Choice(["fp32", "bf16"]),
}


def device(config: Config) -> ScriptedDevice:
    half = 0.6 if config["precision"] == "bf16" else 1.0
    size = config["layers"] * config["width"] * half
    return ScriptedDevice(
        memory=lambda b: (20 + 0.05 * size + 0.02 * size * b) * MIB,
        step_s=lambda b: 0.005 + 2e-5 * size * b,
    )


def run(config: Config, batch_size: int, purpose: Purpose = Purpose.BRACKET) -> Measurement:
    return replace(device(config)(Ask(batch_size, purpose)), config=config)


def configs(n: int, seed: int = 0) -> list[Config]:
    draw = random.Random(seed)
    return [
        {
            "layers": draw.randint(1, 8),
            "width": draw.choice([16, 32, 64, 128]),
            "precision": draw.choice(["fp32", "bf16"]),
        }
        for _ in range(n)
    ]


def test_eight_configs_teach_memory_and_time_of_the_others_within_a_fifth() -> None:
    predictors = Predictors(SPACE)
    predictors.fit([run(c, b) for c in configs(8) for b in (4, 32)])
    assert predictors.peak_bytes is not None and predictors.step_time_s is not None
    others = [c for c in configs(60, seed=1) if c not in configs(8)]
    memory = predictors.peak_bytes.at([(c, 16) for c in others])
    time = predictors.step_time_s.at([(c, 16) for c in others])
    truth = [run(c, 16) for c in others]
    errors = sorted(abs(m.median / (t.peak_bytes or 0) - 1) for m, t in zip(memory, truth))
    assert errors[len(errors) // 2] < 0.2
    errors = sorted(
        abs(p.median / t.step_time.mean_s - 1) for p, t in zip(time, truth) if t.step_time
    )
    assert errors[len(errors) // 2] < 0.2


def test_most_truths_lie_within_the_interval_that_is_stated() -> None:
    inside = total = 0
    for seed in range(4):
        predictors = Predictors(SPACE)
        predictors.fit([run(c, b) for c in configs(6, seed) for b in (4, 32)])
        assert predictors.step_time_s is not None
        for config in configs(20, seed + 100):
            truth = run(config, 16).step_time
            estimate = predictors.step_time_s.at([(config, 16)])[0].estimate()
            assert truth is not None
            inside += estimate.low <= truth.mean_s <= estimate.high
            total += 1
    assert inside / total > 0.75


def test_one_config_says_nothing_of_another() -> None:
    predictors = Predictors(SPACE)
    predictors.fit([run(configs(1)[0], b) for b in (1, 8, 64)])
    assert predictors.peak_bytes is None and predictors.step_time_s is None


def test_a_disturbed_time_teaches_nothing_about_time() -> None:
    predictors = Predictors(SPACE)
    runs = [replace(run(c, 8), tainted=["busy"]) for c in configs(4)]
    predictors.fit(runs)
    assert predictors.step_time_s is None and predictors.peak_bytes is not None
    predictors.fit(runs, accept_disturbed=True)
    assert predictors.step_time_s is not None


def test_the_same_runs_give_the_same_prediction() -> None:
    def predicted() -> Distribution:
        predictors = Predictors(SPACE)
        predictors.fit([run(c, b) for c in configs(5) for b in (4, 32)])
        assert predictors.peak_bytes is not None
        return predictors.peak_bytes.at([(configs(1, seed=9)[0], 16)])[0]

    assert predicted() == predicted()


def test_a_continuous_dimension_and_a_zero_are_understood() -> None:
    space: Space = {"dropout": Float(0.0, 0.5), "layers": Choice([0, 1, 2])}
    known = [({"dropout": d, "layers": n}, 100.0 * (n + 1)) for d in (0.0, 0.5) for n in (0, 1, 2)]
    found = fit_sizes(space, known, [{"dropout": 0.25, "layers": 1}])
    assert found == [pytest.approx(200, rel=0.25)]


# --- the chance of being chosen

EDGES = Edges(cap_bytes=1000 * MIB, longest_step_s=None, ceiling=256)
THROUGHPUT = Budget("smoke_test", None, 0.0, trials=9, throughput_loss=0.15)


def settled(config: Config, batch_size: int) -> tuple[Trial, Measurement]:
    confirmed = replace(run(config, batch_size, Purpose.CONFIRM), parameters=config["layers"])
    return Trial(0, config, "feasible", "", batch_size=batch_size), confirmed


def test_what_is_clearly_slower_and_no_larger_has_no_chance() -> None:
    predictors = Predictors(SPACE)
    predictors.fit([run(c, b) for c in configs(8) for b in (4, 32)])
    small: Config = {"layers": 1, "width": 16, "precision": "fp32"}
    large: Config = {"layers": 8, "width": 128, "precision": "fp32"}
    trial, confirmed = settled(small, 256)
    chosen = choose(candidates([trial], [confirmed]), THROUGHPUT)

    slow, same = forecasts([large, small], predictors, EDGES, THROUGHPUT, chosen, lambda c: 1.0)

    assert slow.chance < 0.02
    assert slow.gain < same.gain + 1e-6


def test_a_larger_model_that_may_be_fast_enough_is_worth_a_measurement() -> None:
    predictors = Predictors(SPACE)
    predictors.fit([run(c, b) for c in configs(8) for b in (4, 32)])
    small: Config = {"layers": 1, "width": 16, "precision": "fp32"}
    trial, confirmed = settled(small, 256)
    chosen = choose(candidates([trial], [confirmed]), THROUGHPUT)
    rival: Config = {"layers": 1, "width": 16, "precision": "bf16"}

    [without] = forecasts([rival], predictors, EDGES, THROUGHPUT, chosen, lambda c: 1.0)
    [larger] = forecasts([rival], predictors, EDGES, THROUGHPUT, chosen, lambda c: 2.0)

    assert larger.gain > without.gain and larger.chance >= without.chance > 0.02


def test_for_the_front_only_rivals_of_the_same_capacity_count() -> None:
    predictors = Predictors(SPACE)
    predictors.fit([run(c, b) for c in configs(8) for b in (4, 32)])
    budget = replace(THROUGHPUT, objective=Objective.PARETO)
    trial, confirmed = settled({"layers": 1, "width": 16, "precision": "fp32"}, 256)
    chosen = choose(candidates([trial], [confirmed]), budget)
    large: Config = {"layers": 8, "width": 128, "precision": "fp32"}

    [outlook] = forecasts([large], predictors, EDGES, budget, chosen, lambda c: c["layers"])

    assert outlook.chance == pytest.approx(outlook.fits)


def test_the_predicted_batch_stops_at_the_edges() -> None:
    predictors = Predictors(SPACE)
    predictors.fit([run(c, b) for c in configs(8) for b in (1, 4, 32, 128)])
    config: Config = {"layers": 8, "width": 128, "precision": "fp32"}  # 20.48 MiB a sample

    [memory] = forecasts([config], predictors, EDGES, THROUGHPUT, None, lambda c: 1.0)
    tight = replace(EDGES, longest_step_s=0.3)
    [time] = forecasts([config], predictors, tight, THROUGHPUT, None, lambda c: 1.0)

    assert 30 <= memory.batch_size <= 60
    assert 8 <= time.batch_size <= 20


def test_batches_reach_from_one_to_the_ceiling() -> None:
    assert batch_grid(1) == [1]
    grid = batch_grid(1000)
    assert grid[0] == 1 and grid[-1] == 1000 and grid == sorted(set(grid))
