"""Which samples need the most memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from probes.adapters import worst_case
from probes.adapters.worst_case import elements, largest, spread


@dataclass
class Pair:
    left: Any
    right: Any


class Graph:
    """As PyTorch Geometric's: keys and items, but no mapping."""

    def keys(self) -> list[str]:
        return ["x", "edge_index"]

    def __getitem__(self, key: str) -> torch.Tensor:
        return torch.zeros(3, 2 if key == "x" else 5)


class Picture:
    size = (640, 480)


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (torch.zeros(3, 4), 12),
        (np.zeros((2, 5)), 10),
        ("words", 5),
        ([1, 2, 3], 3),
        ({"input_ids": [1, 2, 3], "label": 1}, 4),
        ((torch.zeros(2), [torch.zeros(3), torch.zeros(4)]), 9),
        (Pair("ab", [0.5]), 3),
        (Graph(), 21),
        (Picture(), 640 * 480),
        (None, 1),
        ([], 0),
    ],
)
def test_elements_of_a_sample(sample: Any, expected: int) -> None:
    assert elements(sample) == expected


@pytest.mark.parametrize(("quick_s", "differs"), [(0.0, 0), (60.0, 1)])
def test_every_sample_is_looked_at_where_sizes_differ_or_looking_is_quick(
    quick_s: float, differs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worst_case, "QUICK_S", quick_s)
    data = ["a"] * 1000
    data[differs], data[617] = "ab", "abc"
    found = largest(data, 1000)
    assert found.indices[:2] == [617, differs]
    assert "the largest of all 1,000: 3 elements" in found.note


def test_where_looking_takes_long_a_few_equal_samples_are_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worst_case, "QUICK_S", 0.0)
    looked_at: list[int] = []

    class Images:
        def __getitem__(self, index: int) -> torch.Tensor:
            looked_at.append(index)
            return torch.zeros(8)

    found = largest(Images(), 1_000_000)
    assert len(looked_at) == worst_case.FIRST_LOOK
    assert "64 of 1,000,000 samples were looked at, all of one size (8 elements)" in found.note


def test_of_many_different_ones_an_even_part_is_and_the_note_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worst_case, "MOST_LOOKED_AT", 100)
    found = largest(range(5000), 5000, size=float)
    assert found.indices[0] == 4999
    assert "evenly spread over 5,000 (size 4999)" in found.note
    assert "worst_case=" in found.note


def test_spread_has_both_ends() -> None:
    assert spread(3, 64) == [0, 1, 2]
    assert spread(1000, 4) == [0, 333, 666, 999]
