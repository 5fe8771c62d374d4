"""Limits per source, and the balance between sources."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from finetuning.data.balance import balance, sample_groups
from finetuning.data.row_store import SourceIndex
from tests.finetuning.data.helpers import FEW

SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=15)


def index_of(name: str, sizes: list[int]) -> SourceIndex:
    """An index whose groups have these sizes."""
    index = SourceIndex(name, groups=[str(i) for i in range(len(sizes))])
    for group, size in enumerate(sizes):
        for _ in range(size):
            index.offsets.append(len(index))
            index.group_of.append(group)
    return index


@FEW
@given(SIZES, st.integers(1, 100), st.booleans(), st.integers(0, 3))
def test_a_sample_never_exceeds_the_limit_and_prefers_whole_groups(sizes, limit, exact, seed):
    index = index_of("a", sizes)
    rows = sample_groups(index, range(len(index)), limit, random.Random(seed), exact=exact)
    assert len(set(rows)) == len(rows) <= limit
    taken = Counter(index.group_of[row] for row in rows)
    divided = [group for group, count in taken.items() if count < sizes[group]]
    if exact:
        assert len(rows) == min(limit, len(index))
    elif min(sizes) <= limit:
        assert not divided
    assert rows


@FEW
@given(st.lists(SIZES, min_size=1, max_size=4), st.integers(0, 3))
def test_balanced_sources_have_equally_many_rows(sources, seed):
    indexes = [index_of(f"s{i}", sizes) for i, sizes in enumerate(sources)]
    rows = {index.name: list(range(len(index))) for index in indexes}
    counts = [len(index) for index in indexes]
    down = balance(indexes, rows, "down", seed)
    repeat = balance(indexes, rows, "repeat", seed)
    assert {one.after for one in down.values()} == {min(counts)}
    assert {one.after for one in repeat.values()} == {max(counts)}
    for index in indexes:
        assert down[index.name].left_out == len(index) - min(counts)
        assert repeat[index.name].repeated == max(counts) - len(index)
        times = Counter(repeat[index.name].rows)
        assert set(times) == set(rows[index.name])
        assert max(times.values()) - min(times.values()) <= 1
    assert all(
        one.rows == tuple(rows[name]) for name, one in balance(indexes, rows, "none", seed).items()
    )


def test_a_source_without_training_rows_does_not_balance_the_others_away():
    indexes = [index_of("a", [5]), index_of("empty", []), index_of("b", [3])]
    rows = {"a": range(5), "empty": [], "b": range(3)}
    assert [one.after for one in balance(indexes, rows, "down", 1).values()] == [3, 0, 3]


def test_a_group_larger_than_the_limit_is_cut_since_nothing_else_is_there():
    index = index_of("a", [50])
    assert len(sample_groups(index, range(50), 10, random.Random(1), exact=False)) == 10
