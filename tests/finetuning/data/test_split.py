"""Groups are never divided, whatever the data looks like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetuning.data.row_store import RowStore, SourceIndex
from finetuning.data.rows import SourceRow
from finetuning.data.split import SPLITS, Split, sizes, split
from finetuning.settings.model import DataSettings
from probes.errors import InputError
from tests.finetuning.data.helpers import FEW

GROUPS = st.lists(
    st.tuples(st.integers(0, 12) | st.none(), st.integers(0, 200)), min_size=1, max_size=80
)


def index_of(tmp_path, name: str, rows: list[tuple[str | None, str]]) -> SourceIndex:
    """An index of (group, prompt)."""
    index = SourceIndex(name)
    with RowStore(tmp_path / name) as store:
        writer = store.writer(index)
        for group, prompt in rows:
            writer.add(SourceRow(prompt, "completion", group, "here"))
    return index


def divided(indexes: list[SourceIndex], seed: int = 1, **settings) -> Split:
    kept = {index.name: range(len(index)) for index in indexes}
    return split(indexes, kept, DataSettings(**settings), seed)


@FEW
@given(st.lists(GROUPS, min_size=1, max_size=3), st.integers(0, 5))
def test_no_group_and_no_prompt_is_in_two_splits_and_no_row_is_lost(
    tmp_path_factory, sources, seed
):
    folder = tmp_path_factory.mktemp("rows")
    indexes = [
        index_of(folder, f"s{i}", [(None if g is None else str(g), f"p{p}") for g, p in rows])
        for i, rows in enumerate(sources)
    ]
    try:
        result = divided(indexes, seed)
    except InputError:
        return  # too few groups, or all prompts shared
    places: dict[int, set[str]] = {}
    for index in indexes:
        where: dict[int, set[str]] = {}
        count = 0
        for name in SPLITS:
            for position in result.rows[name][index.name]:
                where.setdefault(index.group_of[position], set()).add(name)
                places.setdefault(index.prompts[position], set()).add(name)
                count += 1
        assert all(len(names) == 1 for names in where.values())
        leaked = sum(name == index.name for some in result.leaked.values() for name, _ in some)
        assert count + leaked == len(index)
    assert all(len(names) == 1 for names in places.values())


@FEW
@given(st.integers(0, 500), st.floats(0, 0.5), st.floats(0, 0.49))
def test_every_share_gets_its_groups_and_training_keeps_at_least_one(
    groups, eval_share, test_share
):
    shares = {"eval": eval_share, "test": test_share}
    held = sizes(groups, shares)
    asked = sum(share > 0 for share in shares.values())
    if groups > asked:
        assert all((held[name] >= 1) == (share > 0) for name, share in shares.items())
        assert sum(held.values()) < groups
    else:
        assert sum(held.values()) == 0
    for name, share in shares.items():
        assert abs(held[name] - groups * share) <= max(1, asked)


def test_the_shares_are_of_the_groups_of_each_source(tmp_path):
    rows = [(str(group), f"{group}/{i}") for group in range(20) for i in range(group + 1)]
    result = divided([index_of(tmp_path, "a", rows), index_of(tmp_path, "b", rows[:55])])
    assert result.groups == {
        "train": {"a": 16, "b": 8},
        "eval": {"a": 2, "b": 1},
        "test": {"a": 2, "b": 1},
    }


def test_the_seed_decides_and_another_seed_decides_otherwise(tmp_path):
    index = index_of(tmp_path, "a", [(str(i // 4), f"p{i}") for i in range(200)])
    assert divided([index], 1).rows == divided([index], 1).rows
    assert divided([index], 1).rows != divided([index], 2).rows


def test_rows_without_a_group_stay_together_where_their_prompt_is_the_same(tmp_path):
    index = index_of(tmp_path, "a", [(None, f"p{i % 10}") for i in range(100)])
    assert len(index.groups) == 10
    result = divided([index])
    assert [len(result.rows[name]["a"]) for name in SPLITS] == [80, 10, 10]
    assert result.leaked == {"train": [], "eval": []}


def test_a_prompt_that_is_held_out_in_another_source_does_not_train(tmp_path):
    rows = [(str(i), f"p{i}") for i in range(30)]
    result = divided([index_of(tmp_path, "a", rows), index_of(tmp_path, "copy", rows)])
    train = {i for name in ("a", "copy") for i in result.rows["train"][name]}
    held = {
        i for part in ("eval", "test") for name in ("a", "copy") for i in result.rows[part][name]
    }
    assert not train & held
    assert len(result.leaked["train"]) > 0


def test_prompts_that_differ_in_case_and_white_space_count_as_the_same(tmp_path):
    variants = ["What is it?\n", "what  is it?", " WHAT IS\tIT? "]
    rows = [(None, f"{i} {variants[i % 3]}".replace(f"{i} ", f"{i // 3} ")) for i in range(60)]
    index = index_of(tmp_path, "a", rows)
    assert len(index.groups) == 20


def test_a_source_with_two_groups_trains_whole_and_that_is_said(tmp_path):
    small = index_of(tmp_path, "small", [("1", "a"), ("2", "b")])
    large = index_of(tmp_path, "large", [(str(i), f"p{i}") for i in range(10)])
    result = divided([small, large])
    assert [len(result.rows[name]["small"]) for name in SPLITS] == [2, 0, 0]
    assert len(result.notes) == 1 and "small has 2 groups" in result.notes[0]


def test_too_few_groups_everywhere_is_refused_and_allowed_without_held_out_rows(tmp_path):
    small = index_of(tmp_path, "small", [("1", "a"), ("2", "b")])
    with pytest.raises(InputError, match="small: 2 groups"):
        divided([small])
    result = divided([small], eval_share=0.0, test_share=0.0)
    assert len(result.rows["train"]["small"]) == 2 and not result.notes


def test_shares_that_leave_nothing_to_train_on_are_refused(tmp_path):
    index = index_of(tmp_path, "a", [(str(i), f"p{i}") for i in range(10)])
    with pytest.raises(InputError, match="eval_share"):
        divided([index], eval_share=0.5, test_share=0.5)


def test_sources_that_all_share_one_prompt_are_refused_with_the_reason(tmp_path):
    index = index_of(tmp_path, "a", [(str(i), "the same") for i in range(10)])
    with pytest.raises(InputError, match="held out elsewhere"):
        divided([index])


def test_every_split_that_stays_empty_is_named_at_once(tmp_path):
    index = index_of(tmp_path, "one", [("game", "a"), ("game", "b")])
    with pytest.raises(InputError, match=r"data\.eval_share=0 and data\.test_share=0"):
        divided([index])
    assert divided([index], eval_share=0.0, test_share=0.0).count("train") == 2
