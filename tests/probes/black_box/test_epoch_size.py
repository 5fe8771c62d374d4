"""The size of the data set, from what a step counter counts up to."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.black_box.discovery.counter import EpochSteps
from probes.black_box.epoch_size import EpochSize, epoch_size


def size_of(totals: dict[int, int]) -> EpochSize | None:
    return epoch_size({batch: EpochSteps(steps, steps) for batch, steps in totals.items()})


@given(
    samples=st.integers(100, 10**7),
    small=st.integers(1, 20),
    factor=st.integers(2, 50),
    is_dropped=st.booleans(),
)
def test_the_size_is_within_the_bounds(
    samples: int, small: int, factor: int, is_dropped: bool
) -> None:
    rounded = math.floor if is_dropped else math.ceil
    totals = {b: rounded(samples / b) for b in (small, small * factor)}
    size = size_of(totals)
    if size is not None:
        assert size.low <= samples <= size.high
    elif totals[small] >= 4:
        assert totals[small] < 2 * totals[small * factor]  # rounded to nothing


def test_two_counters_tell_it_within_a_batch() -> None:
    size = size_of({8: 500, 72: 56})
    assert size is not None
    assert (size.low, size.high) == (3993, 4007)


@pytest.mark.parametrize(
    "totals",
    [
        pytest.param({}, id="nothing was counted"),
        pytest.param({8: 500}, id="one batch size"),
        pytest.param({8: 100_000, 72: 100_000}, id="steps of the training, as asked for"),
        pytest.param({8: 500, 72: 200}, id="they do not fit together"),
        pytest.param({64: 3, 128: 1}, id="an epoch of few steps"),
    ],
)
def test_else_it_is_not_known(totals: dict[int, int]) -> None:
    assert size_of(totals) is None
