"""Rows of two models put side by side."""

from __future__ import annotations

import math

import pytest

from finetuning.comparison.pairing import by_item, left_out, pair
from finetuning.evaluation.rows import EvaluationRow
from probes.errors import InputError
from tests.finetuning.comparison.made import PERPLEXITY, SCORE, rows


def scores(values, **options):
    return by_item(rows("snake", {"score": values}, **options), "a run")


def test_items_are_paired_by_name_in_whatever_order_they_are():
    baseline = rows("snake", {"score": [1, 2, 3]})
    model = list(reversed(rows("snake", {"score": [2, 4, 6]})))
    pairs = pair(by_item(baseline, "a"), by_item(model, "b"), SCORE)
    assert list(pairs.baseline.means()) == [1, 2, 3]
    assert list(pairs.model.means()) == [2, 4, 6]
    assert pairs.difference() == pytest.approx(2)


def test_values_of_one_game_become_one_group():
    pairs = pair(scores([1, 3, 5, 7], per_group=2), scores([2, 4, 6, 9], per_group=2), SCORE)
    assert pairs.groups == ("game-0", "game-1")
    assert list(pairs.baseline.means()) == [2, 6]
    assert pairs.items == 4


def test_perplexity_counts_every_token_once():
    long, short = {"nll": [1.0, 3.0], "tokens": [30, 10]}, {"nll": [2.0, 2.0], "tokens": [30, 10]}
    pairs = pair(
        by_item(rows("language", long), "a"), by_item(rows("language", short), "b"), PERPLEXITY
    )
    assert pairs.baseline.figure() == pytest.approx(math.exp(1.5))
    assert pairs.model.figure() == pytest.approx(math.exp(2.0))


def test_items_that_one_model_lacks_are_counted_and_left_out():
    pairs = pair(scores([1, 2, 3, 4]), scores([1, 2], first=2), SCORE)
    assert (pairs.items, pairs.unpaired) == (2, 2)
    assert left_out(pairs) == "2 items that only one of the models has"


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_is_left_out_for_both(broken):
    pairs = pair(scores([1, 2, 3]), scores([1, broken, 3]), SCORE)
    assert (pairs.items, pairs.unusable) == (2, 1)
    assert list(pairs.baseline.means()) == [1, 3]
    assert "without a finite value" in left_out(pairs)


def test_an_item_that_neither_model_has_the_column_for_is_no_loss():
    other = [EvaluationRow("snake", "x", "x", "all", {"steps": 4.0})]
    pairs = pair(
        {**scores([1]), **by_item(other, "a")}, {**scores([2]), **by_item(other, "b")}, SCORE
    )
    assert (pairs.items, pairs.unpaired, pairs.unusable) == (1, 0, 0)


def test_a_row_without_its_weight_is_unusable_rather_than_worth_nothing():
    full, missing = {"nll": [1.0], "tokens": [5]}, {"nll": [1.0]}
    pairs = pair(
        by_item(rows("language", full), "a"), by_item(rows("language", missing), "b"), PERPLEXITY
    )
    assert (pairs.items, pairs.unusable) == (0, 1)


def test_only_equal_values_and_weights_are_identical():
    assert pair(scores([1, 2]), scores([1, 2]), SCORE).identical
    assert not pair(scores([1, 2]), scores([1, 2.000001]), SCORE).identical


def test_nothing_in_common_is_not_identical():
    pairs = pair(scores([1]), scores([1], first=1), SCORE)
    assert (pairs.identical, pairs.groups) == (False, ())


@pytest.mark.parametrize("what", ["group", "source"])
def test_an_item_in_another_group_or_source_is_another_item(what):
    ours = {"task": "snake", "item": "1", "group": "g", "source": "s", "values": {"score": 1.0}}
    theirs = EvaluationRow(**{**ours, what: "other"})
    with pytest.raises(InputError, match=what):
        pair(by_item([EvaluationRow(**ours)], "a"), by_item([theirs], "b"), SCORE)


def test_a_row_that_was_written_twice_counts_once():
    twice = rows("snake", {"score": [1, math.nan]}) * 2
    assert len(by_item(twice, "a run")) == 2


def test_two_different_rows_of_one_item_are_refused():
    with pytest.raises(InputError, match=r"item-0.*two different rows"):
        by_item(rows("snake", {"score": [1]}) + rows("snake", {"score": [2]}), "a run")
