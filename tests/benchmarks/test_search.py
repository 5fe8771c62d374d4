"""The questions that the search benchmark asks of its measured grids."""

from __future__ import annotations

import pytest

from benchmarks.search import grids
from benchmarks.search.contenders import METHODS
from benchmarks.search.run import QUESTIONS, _arrival, _best


@pytest.mark.parametrize("which", ["visnet", "causal-lm"])
def test_the_largest_model_in_a_window_is_neither_the_smallest_nor_the_largest(which: str) -> None:
    grid = grids.load(which)
    question = QUESTIONS["largest model in a window"](grid)
    best = max(grid.configs, key=lambda c: grid.capacity(c, question.longest_step_s))
    sizes = grid.parameters.values()
    assert min(sizes) < grid.capacity(best, question.longest_step_s) < max(sizes)
    assert 1 < best["layers"] < 4
    assert len(grid.configs) >= 12


@pytest.mark.parametrize("which", ["visnet", "causal-lm"])
def test_our_search_finds_it_and_leaves_most_of_the_grid_unmeasured(which: str) -> None:
    grid = grids.load(which)
    question = QUESTIONS["largest model in a window"](grid)
    replay = METHODS["tonnage"](grid, 0, question)
    assert _arrival(replay, _best(grid, question)) is not None
    assert replay.probes < len(grid.configs) / 2
