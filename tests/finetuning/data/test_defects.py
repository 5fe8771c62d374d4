"""Defects of an earlier system that must not come back."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetuning.data.prepare import prepare
from finetuning.data.sources import Source
from tests.finetuning.data.helpers import pairs, read_lines, settings, write_games, write_lines


@pytest.fixture
def two_algorithms(tmp_path) -> list[Source]:
    """Games of two algorithms, three times as many of the one."""
    bfs = write_games(tmp_path / "bfs", range(24))
    dfs = write_games(tmp_path / "dfs", range(100, 108))
    return [Source("bfs", (str(bfs),)), Source("dfs", (str(dfs),))]


def prompts(path: Path) -> list[str]:
    return [row["prompt"] for row in read_lines(path)]


def test_moves_of_one_game_are_never_on_both_sides_of_the_split(tmp_path, two_algorithms):
    summary = prepare(two_algorithms, settings(), tmp_path / "out")
    sides = {name: read_lines(summary.path(name)) for name in summary.splits}
    games = {name: {row["group"] for row in rows} for name, rows in sides.items()}
    assert not games["train"] & games["test"]
    assert not games["train"] & games["eval"]
    assert not games["eval"] & games["test"]
    assert all(len(rows) > len(games[name]) for name, rows in sides.items()), "games have moves"


def test_no_position_that_is_tested_was_trained_on(tmp_path, two_algorithms):
    summary = prepare(two_algorithms, settings(), tmp_path / "out")
    trained = set(prompts(summary.path("train")))
    assert not trained & set(prompts(summary.path("test")))
    assert not trained & set(prompts(summary.path("eval")))


def test_a_limit_samples_all_of_a_source_instead_of_truncating_it(tmp_path):
    lines = write_lines(tmp_path / "a.jsonl", pairs(1000))
    chosen = settings(max_samples_per_source=100)
    summary = prepare([Source("a", (str(lines),))], chosen, tmp_path / "out")
    numbers = [int(row["id"].removeprefix("a-")) for row in read_lines(summary.path("train"))]
    assert len(numbers) == 80
    assert 300 < sum(numbers) / len(numbers) < 700, "the first 100 rows have a mean of 50"


def test_balancing_evens_the_sources_out_instead_of_truncating_the_whole(tmp_path, two_algorithms):
    summary = prepare(two_algorithms, settings(balance="down"), tmp_path / "out")
    rows = [row["source"] for row in read_lines(summary.path("train"))]
    assert rows.count("bfs") == rows.count("dfs") == len(rows) // 2
    assert summary.sources[0].left_out > 0 and summary.sources[1].left_out == 0


def test_the_split_and_the_rows_are_shuffled(tmp_path):
    lines = write_lines(tmp_path / "a.jsonl", pairs(500))
    summary = prepare([Source("a", (str(lines),))], settings(), tmp_path / "out")
    train, test = (
        [int(row["id"].removeprefix("a-")) for row in read_lines(summary.path(name))]
        for name in ("train", "test")
    )
    assert train != sorted(train)
    assert 150 < sum(test) / len(test) < 350, "the last 50 rows have a mean of 475"


def test_every_source_is_held_out_and_mixed_into_training(tmp_path, two_algorithms):
    summary = prepare(two_algorithms, settings(), tmp_path / "out")
    for name in summary.splits:
        rows = [row["source"] for row in read_lines(summary.path(name))]
        assert set(rows) == {"bfs", "dfs"}
    train = [row["source"] for row in read_lines(summary.path("train"))]
    assert "dfs" in train[: len(train) // 2] and "bfs" in train[len(train) // 2 :]
