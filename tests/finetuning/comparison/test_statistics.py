"""Each statistic against what it must be, or against scipy's slower way to it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from benchmarks.comparison import KINDS, mean_pairs, paired
from finetuning.comparison import statistics


def ones(values):
    return (values, np.ones(len(values)))


def by_scipy(pairs, **options):
    """The same test by scipy, which exchanges the numbers of groups."""
    n = len(pairs.groups)
    sums = np.concatenate([pairs.baseline.weighted, pairs.model.weighted])
    weights = np.concatenate([pairs.baseline.weight, pairs.model.weight])

    def difference(a, b, axis):
        figures = [sums[side].sum(axis) / weights[side].sum(axis) for side in (a, b)]
        if pairs.model.exponential:
            figures = [np.exp(figure) for figure in figures]
        return figures[1] - figures[0]

    return stats.permutation_test(
        (np.arange(n), np.arange(n) + n),
        difference,
        permutation_type="samples",
        vectorized=True,
        **options,
    ).pvalue


@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_permutation_test_is_that_of_scipy(kind):
    for seed in range(5):
        pairs = KINDS[kind](np.random.default_rng(seed), 9)
        found = statistics.permutation_test(pairs)
        assert found.exact
        # One pair of exchanges apart at most: scipy can lose a tie to rounding.
        expected = by_scipy(pairs, n_resamples=9_999)
        assert found.p_value == pytest.approx(expected, abs=2 / 2**9 + 1e-12)


def test_the_random_permutation_test_comes_near_the_exact_one():
    pairs = KINDS["weighted"](np.random.default_rng(1), 12)
    exact = statistics.permutation_test(pairs, resamples=4_096)
    drawn = statistics.permutation_test(pairs, resamples=4_095)
    assert (exact.exact, drawn.exact) == (True, False)
    assert drawn.p_value == pytest.approx(exact.p_value, abs=0.03)


def test_all_groups_one_way_is_the_smallest_p_there_is():
    pairs = paired(ones([1, 2, 3, 4, 5, 6]), ones([2, 3, 4, 5, 6, 7.5]))
    assert statistics.permutation_test(pairs).p_value == 2 / 2**6 == statistics.smallest_p(6)


def test_ties_are_counted_although_their_sums_are_rounded():
    tenths = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    pairs = paired(ones(1000 + tenths), ones(1000 + tenths + 0.1))
    assert statistics.permutation_test(pairs).p_value == 2 / 2**7


@pytest.mark.parametrize("groups", [6, 40])
def test_identical_models_have_p_1_no_effect_and_an_empty_interval(groups):
    values = np.random.default_rng(0).normal(5, 2, groups)
    pairs = paired(ones(values), ones(values))
    assert statistics.permutation_test(pairs).p_value == 1
    assert statistics.bootstrap_interval(pairs) == statistics.Spread(0, 0, 0)
    assert statistics.effect_size(pairs) == statistics.Spread(0, 0, 0)
    assert statistics.detectable_difference(pairs) == 0


def test_weights_are_exchanged_with_their_values():
    # The figures are 1 and 3 whichever model has the long game, so no exchange is more extreme.
    a, w = np.array([10.0, 1, 1, 1, 1, 1]), np.array([10.0, 1, 1, 1, 1, 1])
    pairs = paired((a, w), (3 * a, w))
    assert pairs.difference() == pytest.approx(2)
    assert statistics.permutation_test(pairs).p_value == 2 / 2**6


def test_the_seed_decides():
    pairs = mean_pairs(np.random.default_rng(3), 30, 1.0)
    for function in (statistics.permutation_test, statistics.bootstrap_interval):
        assert function(pairs, seed=1) == function(pairs, seed=1)
        assert function(pairs, seed=1) != function(pairs, seed=2)


def test_batches_do_not_change_a_result(monkeypatch):
    pairs = mean_pairs(np.random.default_rng(3), 30, 1.0)
    whole = statistics.permutation_test(pairs).p_value
    monkeypatch.setattr(statistics, "BATCH_ELEMENTS", 30 * 64)
    assert statistics.permutation_test(pairs).p_value == pytest.approx(whole, abs=0.02)


def test_the_interval_over_many_groups_is_the_normal_one():
    rng = np.random.default_rng(5)
    differences = rng.normal(2, 3, 400)
    found = statistics.bootstrap_interval(paired(ones(np.zeros(400)), ones(differences)))
    error = differences.std(ddof=1) / 20
    assert found.value == pytest.approx(differences.mean())
    assert found.low == pytest.approx(differences.mean() - 1.96 * error, abs=0.1 * error)
    assert found.high == pytest.approx(differences.mean() + 1.96 * error, abs=0.1 * error)


def test_few_groups_get_wider_percentiles():
    assert statistics.expanded(0.95, 6) == pytest.approx(0.995, abs=0.001)
    assert statistics.expanded(0.95, 1_000) == pytest.approx(0.95, abs=0.001)


def test_cohens_d_for_pairs_and_its_interval():
    differences = np.random.default_rng(2).normal(1, 2, 25)
    found = statistics.effect_size(paired(ones(np.zeros(25)), ones(differences)))
    d = differences.mean() / differences.std(ddof=1)
    assert found.value == pytest.approx(d)
    # Both limits: the observed t is the 97.5th and 2.5th percentile of its noncentral distribution.
    for limit, share in ((found.low, 0.975), (found.high, 0.025)):
        assert stats.nct.cdf(d * 5, 24, limit * 5) == pytest.approx(share, abs=1e-6)


@pytest.mark.parametrize("gain", [-0.6, 0.0, 3.0, 50.0])
def test_an_effect_has_an_interval_however_large_it_is(gain):
    differences = np.random.default_rng(2).normal(gain, 1, 40)
    found = statistics.effect_size(paired(ones(np.zeros(40)), ones(differences)))
    assert found.low < found.value < found.high


def test_an_effect_of_one_amount_in_all_groups_is_not_a_number():
    assert math.isnan(statistics.effect_size(paired(ones(np.zeros(9)), ones(np.ones(9)))).value)


def test_the_detectable_difference_is_that_of_the_paired_t_test():
    differences = np.random.default_rng(4).normal(0, 3, 40)
    found = statistics.detectable_difference(paired(ones(np.zeros(40)), ones(differences)))
    d = found / differences.std(ddof=1)
    # The power at this effect, from the noncentral t distribution itself.
    bound = stats.t.ppf(0.975, 39)
    power = stats.nct.sf(bound, 39, d * math.sqrt(40)) + stats.nct.cdf(
        -bound, 39, d * math.sqrt(40)
    )
    assert power == pytest.approx(0.8, abs=0.001)


def test_a_stricter_level_can_detect_only_more():
    pairs = mean_pairs(np.random.default_rng(1), 20)
    at = [statistics.detectable_difference(pairs, level=level) for level in (0.05, 0.005, 0.0005)]
    assert at == sorted(at) and at[0] < at[2]


def test_the_standard_error_of_a_perplexity_is_that_of_its_bootstrap():
    pairs = KINDS["weighted"](np.random.default_rng(8), 200)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 200, (2_000, 200))
    figures = [
        np.exp(side.weighted[drawn].sum(1) / side.weight[drawn].sum(1))
        for side in (pairs.baseline, pairs.model)
    ]
    assert statistics.standard_error(pairs) == pytest.approx(
        (figures[1] - figures[0]).std(), rel=0.1
    )


def test_holm_multiplies_the_smallest_p_by_the_number_of_tests():
    assert statistics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert statistics.holm([]) == []


@pytest.mark.parametrize("tests", [1, 2, 10, 100])
def test_the_groups_needed_are_the_fewest_that_can_reach_the_level(tests):
    needed = statistics.groups_needed(tests)
    assert statistics.smallest_p(needed) * tests <= 0.05
    assert needed == 6 or statistics.smallest_p(needed - 1) * tests > 0.05


def test_a_figure_that_overflows_has_no_interval():
    pairs = paired(ones(np.full(8, 900.0)), ones(np.full(8, 1.0)), exponential=True)
    assert math.isnan(statistics.bootstrap_interval(pairs).low)
