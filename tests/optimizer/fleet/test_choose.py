"""Choosing among options: only measured ones, within the limits, by what is preferred."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.fleet.amount import Amount, known
from optimizer.fleet.choose import Limits, Prefer, choose, rank, shortfall
from optimizer.fleet.cost import Prices
from tests.optimizer.fleet.made import option, options

LISTS = st.lists(options(), max_size=8)
LIMITS = st.builds(
    Limits,
    deadline_s=st.none() | st.floats(1, 20_000),
    money=st.none() | st.floats(0, 20),
)
PREFERENCES = st.sampled_from(Prefer)


@settings(max_examples=30, deadline=None)
@given(LISTS, LIMITS, PREFERENCES)
def test_what_is_chosen_was_measured_and_meets_the_limits(every, limits, prefer):
    found = choose(every, limits, prefer)
    for winner in (found.chosen, found.cheapest, found.fastest, found.least_energy):
        if winner is not None:
            assert winner.is_measured
            assert shortfall(winner, limits).is_none


@settings(max_examples=30, deadline=None)
@given(LISTS, LIMITS, PREFERENCES)
def test_something_is_chosen_if_anything_measured_meets_the_limits(every, limits, prefer):
    found = choose(every, limits, prefer)
    possible = any(o.is_measured and shortfall(o, limits).is_none for o in every)
    assert (found.chosen is not None) == possible
    assert (found.nearest is not None) == (not possible and any(o.is_measured for o in every))


@settings(max_examples=30, deadline=None)
@given(LISTS, st.floats(1, 10_000), st.floats(0, 10_000), PREFERENCES)
def test_more_time_never_makes_the_answer_worse(every, deadline_s, more_s, prefer):
    tight = choose(every, Limits(deadline_s), prefer).chosen
    loose = choose(every, Limits(deadline_s + more_s), prefer).chosen
    if tight is not None:
        assert loose is not None
        best = rank(loose, prefer) <= rank(tight, prefer)
        assert best or known(tight.cost) is None or known(tight.energy_j) is None


@settings(max_examples=30, deadline=None)
@given(LISTS, st.floats(0, 10), st.floats(0, 10), PREFERENCES)
def test_more_money_never_makes_the_answer_worse(every, money, more, prefer):
    tight = choose(every, Limits(money=money), prefer).chosen
    loose = choose(every, Limits(money=money + more), prefer).chosen
    if tight is not None and prefer is not Prefer.LEAST_ENERGY:
        assert loose is not None
        assert rank(loose, prefer) <= rank(tight, prefer)


@settings(max_examples=30, deadline=None)
@given(LISTS, LIMITS, PREFERENCES)
def test_a_class_shows_a_measured_option_wherever_it_has_one(every, limits, prefer):
    found = choose(every, limits, prefer)
    for class_id, shown in found.of_class.items():
        assert shown.is_measured == any(o.is_measured for o in every if o.class_id == class_id)


@settings(max_examples=30, deadline=None)
@given(LISTS)
def test_every_interval_is_in_order(every):
    for each in every:
        for value in (each.cycle_s, each.training_s, each.cost, each.energy_j, each.cycle_cost):
            if isinstance(value, Amount):
                assert value.low <= value.mean <= value.high


def test_a_smaller_model_wins_only_where_nothing_else_meets_the_deadline():
    large, small = option(step_s=1.0), option(step_s=0.1, smaller=True, layers=2)
    assert choose([large, small], Limits(), Prefer.FASTEST).chosen is large
    assert choose([large, small], Limits(500), Prefer.FASTEST).chosen is small


def test_an_option_meets_the_deadline_only_with_the_upper_end_of_its_interval():
    each = option(step_s=0.1, half=0.1)  # 100 s, at most 110 s
    assert choose([each], Limits(109), Prefer.FASTEST).chosen is None
    assert choose([each], Limits(111), Prefer.FASTEST).chosen is each
    assert shortfall(each, Limits(100)).time_s == pytest.approx(10)


def test_an_unknown_cost_never_meets_a_sum_of_money():
    free = option(prices=Prices())
    found = choose([free], Limits(money=100), Prefer.CHEAPEST)
    assert found.chosen is None
    assert shortfall(free, Limits(money=100)).is_cost_unknown
    assert choose([free], Limits(), Prefer.CHEAPEST).cheapest is None
    assert choose([free], Limits(), Prefer.CHEAPEST).chosen is free


def test_measured_energy_goes_before_a_lower_estimate():
    measured = option("a", energy_j=Amount(100.0, 90.0, 110.0))
    assumed = option("b", prices=Prices(watts=1.0))
    assert choose([measured, assumed], Limits(), Prefer.LEAST_ENERGY).least_energy is measured
    only = choose([assumed], Limits(), Prefer.LEAST_ENERGY).least_energy
    assert only is assumed
    assert known(only.energy_j).is_estimate
