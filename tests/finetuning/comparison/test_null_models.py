"""Two equal models must not differ, and a planted difference must be found.

Games are hard or easy for both models at once, their moves are correlated, and games differ in
length: what made invented samples "significant". ``benchmarks/comparison.py`` repeats this with
more comparisons.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.comparison import KINDS
from finetuning.comparison import statistics
from finetuning.comparison.pairing import by_item, pair
from finetuning.evaluation.metrics import Direction, Metric
from tests.finetuning.comparison.made import rows

COMPARISONS = 400
GAMES = 30
RESAMPLES = 999


def share_found(kind, gain=0.0, games=GAMES):
    rng = np.random.default_rng(20)
    made = (KINDS[kind](rng, games, gain) for _ in range(COMPARISONS))
    found = [
        statistics.permutation_test(pairs, seed=n, resamples=RESAMPLES).p_value <= 0.05
        for n, pairs in enumerate(made)
    ]
    return sum(found) / COMPARISONS


@pytest.mark.parametrize("kind", KINDS)
def test_equal_models_differ_in_at_most_7_percent_of_400_comparisons(kind):
    assert 0.02 <= share_found(kind) <= 0.07


@pytest.mark.parametrize("kind, gain", [("mean", 4.0), ("binary", 0.16), ("weighted", 0.1)])
def test_a_planted_difference_is_found(kind, gain):
    assert share_found(kind, gain) >= 0.9


@pytest.mark.parametrize("kind, games", [("mean", 8), ("binary", 15), ("weighted", GAMES)])
def test_95_percent_intervals_cover_no_difference_in_about_95_percent(kind, games):
    rng = np.random.default_rng(21)
    inside = 0
    for n in range(COMPARISONS):
        found = statistics.bootstrap_interval(KINDS[kind](rng, games), seed=n, resamples=RESAMPLES)
        inside += found.low <= 0 <= found.high
    assert 0.91 <= inside / COMPARISONS <= 0.985


def test_the_detectable_difference_is_found_in_about_80_percent():
    rng = np.random.default_rng(22)
    planted = np.median(
        [statistics.detectable_difference(KINDS["mean"](rng, GAMES)) for _ in range(20)]
    )
    assert 0.72 <= share_found("mean", planted) <= 0.88


def test_moves_of_one_game_taken_for_independent_would_find_what_is_not_there():
    """Why whole games are exchanged: here every move of a game shares the game's luck."""
    rng = np.random.default_rng(23)
    right = Metric("right", "right", Direction.HIGHER, "Share of right moves")
    found = {"by game": 0, "by move": 0}
    for n in range(60):
        luck = rng.normal(0, 1, (2, 12)).repeat(10, axis=1)
        values = luck + rng.normal(0, 0.3, (2, 120))
        for name, size in (("by game", 10), ("by move", 1)):
            sides = [
                by_item(rows("snake", {"right": side}, per_group=size), "a run") for side in values
            ]
            p = statistics.permutation_test(pair(*sides, right), seed=n, resamples=199).p_value
            found[name] += p <= 0.05
    assert found["by game"] / 60 <= 0.12
    assert found["by move"] / 60 >= 0.3
