"""The card says what was taken, dropped, balanced and cut off."""

from __future__ import annotations

import pytest

from finetuning.data.prepare import prepare
from finetuning.data.sources import Source
from finetuning.data.summary import read_summary
from finetuning.data.tokens import percentile
from probes.errors import InputError
from tests.finetuning.data.helpers import pairs, settings, write_games, write_lines


class Words:
    """A tokenizer: one token per word."""

    name_or_path = "words"

    def __call__(self, texts: list[str]) -> dict[str, list[list[int]]]:
        return {"input_ids": [list(range(len(text.split()))) for text in texts]}


def rows_of(lengths: list[int]) -> list[dict[str, str]]:
    return [
        {"prompt": f"p{i} " + "x " * (length - 3), "completion": "y z"}
        for i, length in enumerate(lengths)
    ]


def test_the_page_states_sources_drops_balance_split_seed_and_hash(tmp_path):
    games = write_games(tmp_path / "bfs", range(12))
    rows = [*pairs(40), *pairs(2), {"prompt": "only a prompt", "completion": None}]
    more = write_lines(tmp_path / "a.jsonl", rows)
    sources = [Source("bfs", (str(games),)), Source("astar", (str(more),))]
    summary = prepare(sources, settings(balance="down", seed=11), tmp_path / "out")
    page = (summary.folder / "data_card.md").read_text()
    for part in (
        "| bfs | game logs | 12 |",
        "| astar | JSON lines | 1 | 43 | 3 |",
        "duplicate: 2",
        "a.jsonl, line 43: `completion`",
        "down: every source trains with as many rows as the smallest",
        "10% eval, 10% test",
        "Seed: 11",
        summary.fingerprint,
        summary.splits["train"].sha256[:16],
    ):
        assert part in page


def test_lengths_are_counted_with_the_end_token_and_what_is_cut_off_is_noted(tmp_path):
    lines = write_lines(tmp_path / "a.jsonl", rows_of([*range(10, 110)]))
    chosen = settings(max_chars=1000).changed({"training.max_length": 60})
    summary = prepare([Source("a", (str(lines),))], chosen, tmp_path / "out", tokenizer=Words())
    tokens = summary.tokens
    assert tokens is not None
    assert (tokens.rows, tokens.p50, tokens.p95, tokens.longest) == (100, 60, 105, 110)
    assert tokens.truncated == 0.5
    assert tokens.answerless == 0.48
    assert any("50.0%" in note for note in summary.notes)
    assert "longest 110" in (summary.folder / "data_card.md").read_text()


def test_lengths_are_added_to_data_that_was_prepared_without_a_tokenizer(tmp_path):
    lines = write_lines(tmp_path / "a.jsonl", rows_of([20] * 50))
    sources, out = [Source("a", (str(lines),))], tmp_path / "out"
    assert prepare(sources, settings(), out).tokens is None
    added = prepare(sources, settings(), out, tokenizer=Words())
    assert added.reused and added.tokens is not None and added.tokens.longest == 21
    assert prepare(sources, settings(), out) == added == read_summary(out / "data")
    shorter = settings().changed({"training.max_length": 8})
    recounted = prepare(sources, shorter, out, tokenizer=Words())
    assert recounted.tokens is not None and recounted.tokens.truncated == 1.0


def test_percentiles_are_of_the_nearest_rank():
    assert [percentile([*range(1, 101)], p) for p in (50, 95, 100)] == [50, 95, 100]
    assert percentile([7], 50) == 7


def test_a_card_of_another_format_is_refused(tmp_path):
    (tmp_path / "data_card.json").write_text('{"format": 99}')
    with pytest.raises(InputError, match="format 99"):
        read_summary(tmp_path)
