"""What a test says in words: the facts that a reader needs, in every case."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from finetuning.comparison.pairing import by_item, pair
from finetuning.comparison.result import Finding
from finetuning.comparison.sentences import p_text, sentence, value_text
from finetuning.comparison.testing import Method, Question, answers
from tests.finetuning.comparison.made import SCORE, rows


def made_test(model, baseline=None):
    base = np.arange(8.0) if baseline is None else baseline
    sides = [by_item(rows("snake", {"score": side}), "a run") for side in (base, model)]
    question = Question("snake", SCORE, None, "base", "lora", "game", pair(*sides, SCORE))
    return answers([question], Method())[0]


def test_a_finding_names_both_figures_the_interval_and_the_games():
    said = made_test(np.add(np.arange(8.0), [3, 4, 3, 5, 4, 3, 4, 6])).sentence
    for fact in ("lora is better than base by 4.00 apples", "7.50 apples", "3.50 apples"):
        assert fact in said
    assert "95 % interval" in said and "8 games" in said


def test_no_finding_says_what_the_games_could_have_shown():
    test = made_test(np.add(np.arange(8.0), [1, -1, 1, -1, 1, -1, 1, -1.5]))
    assert test.finding is Finding.NO_DIFFERENCE
    assert f"8 games could have shown one of {value_text(test.detectable)} apples" in test.sentence


def test_a_correction_is_mentioned_only_where_there_was_one():
    test = made_test(np.add(np.arange(8.0), [3, 4, 3, 5, 4, 3, 4, 6]))
    one, many = (sentence(test, tests=n, level=0.05, confidence=0.95) for n in (1, 12))
    assert "correction" not in one
    assert "12 tests" in many


def test_a_p_that_only_stands_alone_is_explained():
    test = replace(
        made_test(np.add(np.arange(8.0), [1, -1, 1, -1, 1, -1, 1, -1.5])),
        p_value=0.03,
        p_adjusted=0.36,
    )
    said = sentence(test, tests=12, level=0.05, confidence=0.95)
    assert "p = 0.03" in said and "does not hold among 12 tests" in said


def test_equal_models_are_said_to_be_equal():
    test = made_test(np.arange(8.0))
    assert test.finding is Finding.EQUAL
    assert "equals" in test.sentence and "8 items" in test.sentence


def test_few_games_give_the_reason():
    test = made_test(np.arange(4.0) + 2, np.arange(4.0))
    assert test.finding is Finding.CANNOT_TELL
    assert "There are 4 games; at least 6 are needed" in test.sentence


@pytest.mark.parametrize(
    "value, text",
    [(-1.234, "−1.23 apples"), (0.0, "0 apples"), (1e-9, "1.00e-09 apples"), (None, "no figure")],
)
def test_values_have_three_digits_and_a_true_minus(value, text):
    assert value_text(value, "apples") == text


@pytest.mark.parametrize(
    "p, text", [(1.0, "1"), (0.0421, "0.042"), (0.0001, "0.0001"), (0.00001, "less than 0.0001")]
)
def test_a_p_is_never_said_to_be_zero(p, text):
    assert p_text(p) == text
