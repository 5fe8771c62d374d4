"""The simulated fleets, and the product's strategy on a few of them."""

from __future__ import annotations

import random

from benchmarks.fleet_answer import run
from benchmarks.fleet_answer.fleets import fleet
from benchmarks.search import grids


def grids_by_workload():
    found = [grids.load(which) for which in ("visnet", "causal-lm")]
    return {each.workload: each for each in found}


def test_classes_differ_from_one_another_and_from_the_grid():
    measured = grids_by_workload()
    classes = fleet(measured, random.Random(1))
    grid = measured["visnet"]
    config = grid.configs[0]
    times = {each.grids["visnet"].step_s(config, 16) for each in classes}
    assert len(times) == len(classes) >= 5
    assert grid.step_s(config, 16) not in times
    assert len({each.known.cap_bytes for each in classes}) > 1


def test_the_answer_is_near_the_best_with_a_third_of_the_probes():
    outcomes = [run._ask(grids_by_workload(), random.Random(seed), True) for seed in (4,)]
    found = run.summary(outcomes)
    assert found["late"] == 0
    assert found["answered"] == found["with_an_answer"]
    assert found["regret_mean"] <= 0.05
    assert found["share_of_probes_max"] <= 1 / 3
