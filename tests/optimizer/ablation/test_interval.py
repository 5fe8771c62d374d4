"""The interval that stays true however often one looks."""

from __future__ import annotations

import math
import random

import pytest

from optimizer.ablation.interval import paired_interval


def test_too_few_pairs_bound_nothing() -> None:
    interval = paired_interval([0.1, 0.11], [1, -1])

    assert interval.effect == pytest.approx(0.105)
    assert (interval.low, interval.high) == (-math.inf, math.inf)


def test_a_steady_drift_widens_nothing() -> None:
    drift = [0.3 + 0.05 * order for order in (1, -1, -1, 1, 1, -1)]

    interval = paired_interval(drift, [1, -1, -1, 1, 1, -1])

    assert interval.effect == pytest.approx(0.3)
    assert interval.half_width == pytest.approx(0.0, abs=1e-9)


def test_the_interval_is_as_wide_as_the_resolution_at_least() -> None:
    assert paired_interval([0.1] * 6, least=0.01).half_width == pytest.approx(0.01)


def test_more_pairs_narrow_it() -> None:
    draw = random.Random(0)
    values = [draw.gauss(0.2, 0.02) for _ in range(64)]
    widths = [paired_interval(values[:n]).half_width for n in (4, 8, 16, 64)]

    assert widths == sorted(widths, reverse=True)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_it_hardly_ever_misses_the_truth_even_once_on_the_way(level: float) -> None:
    missed = 0
    for seed in range(400):
        draw = random.Random(seed)
        values = [draw.gauss(0.0, 1.0) for _ in range(40)]
        looks = (paired_interval(values[:n], level=level) for n in range(3, 41))
        missed += any(not look.low <= 0.0 <= look.high for look in looks)

    assert missed / 400 <= 1 - level


def test_nothing_to_average_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        paired_interval([])
