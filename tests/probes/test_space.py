"""Spaces: what a workload's dimensions mean."""

from __future__ import annotations

import pytest

from probes.errors import InputError
from probes.space import Choice, Float, Int, Space, allows, as_dimension, grid, size, smallest
from probes.space_text import dimension_text, parse_assignments, parse_dimension


def test_the_smallest_config_has_the_lowest_number_or_the_first_option_of_each_dimension() -> None:
    space: Space = {
        "layers": Int(2, 8, step=2),
        "width": Choice([64, 16, 32]),
        "dropout": Float(0.1, 0.5),
        "activation": Choice(["relu", "gelu"]),
    }
    assert smallest(space) == {"layers": 2, "width": 16, "dropout": 0.1, "activation": "relu"}


def test_a_space_is_counted_before_it_is_listed():
    huge = {"layers": Int(1, 10**12), "width": Choice(1, 2)}
    assert size(huge) == 2 * 10**12
    assert smallest(huge) == {"layers": 1, "width": 1}
    for list_it in (lambda: grid(huge), huge["layers"].values):
        with pytest.raises(InputError, match=r",000,000,000 configs"):
            list_it()
    assert grid({**huge, "rate": Float(0.1, 0.2)}) is None


def test_a_value_that_is_listed_twice_is_one_value():
    assert Choice(2, 1, 2, 1.0).options == (2, 1)
    assert Choice(1, True, "1").options == (1, True, "1")
    assert as_dimension("layers", parse_dimension("1,1")).options == (1,)


def test_an_empty_value_in_a_list_is_refused():
    for text in ("1,,2", "1,", ""):
        with pytest.raises(InputError, match="empty"):
            parse_dimension(text)
    assert parse_dimension(",--bf16") == ["", "--bf16"]


@pytest.mark.parametrize("pairs", [["a=1", "a=2"], ["a=1e999"], ["a=NaN"], [f"a={2**53}"]])
def test_assignments_that_would_be_lost_or_changed_are_refused(pairs):
    with pytest.raises(InputError, match="--set a="):
        parse_assignments(pairs, "--set")


@pytest.mark.parametrize(
    ("dimension", "inside", "outside"),
    [
        (Int(2, 8, step=2), 4, 5),
        (Int(1, 2), 2, True),
        (Float(0.1, 0.5), 0.3, 0.6),
        (Choice("a", "b"), "b", "c"),
        (Choice(1, 2), 2.0, True),
    ],
)
def test_what_a_dimension_allows(dimension, inside, outside):
    assert allows(dimension, inside)
    assert not allows(dimension, outside)


@pytest.mark.parametrize(
    ("dimension", "text"),
    [
        (Int(2, 12), "2 to 12"),
        (Int(4, 4), "4"),
        (Int(64, 512, step=64), "64 to 512 in steps of 64"),
        (Int(16, 1024, log=True), "16 to 1024 (log scale)"),
        (Float(0.0001, 0.5, log=True), "0.0001 to 0.5 (log scale)"),
        (Choice([1, 2, 4]), "1, 2, 4"),
        (Choice(["relu", None, True]), "relu, null, true"),
    ],
)
def test_a_dimension_in_words(dimension, text: str) -> None:
    assert dimension_text(dimension) == text


def test_a_huge_dimension_is_not_listed() -> None:
    assert len(dimension_text(Int(1, 100_000))) < 20
    assert dimension_text(Choice(list(range(1000)))).endswith("and 980 more")
