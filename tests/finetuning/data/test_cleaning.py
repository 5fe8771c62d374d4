"""What is dropped from a source is counted and shown."""

from __future__ import annotations

from finetuning.data.cleaning import Drops, clean
from finetuning.data.rows import Rejected, SourceRow
from finetuning.settings.model import DataSettings


def cleaned(*rows, **settings) -> tuple[list[tuple[str, str]], Drops]:
    """Kept rows, and what was dropped; a row is (prompt, completion)."""
    drops = Drops()
    items = [
        row if isinstance(row, Rejected) else SourceRow(*row, None, f"a.jsonl, line {number}")
        for number, row in enumerate(rows, 1)
    ]
    kept = list(clean(items, DataSettings(**settings), drops))
    return [(row.prompt, row.completion) for row in kept], drops


def test_empty_prompts_and_completions_are_dropped():
    kept, drops = cleaned(("a", "b"), (" \n", "b"), ("a", "\t"))
    assert kept == [("a", "b")]
    assert drops.counts == {"prompt empty": 1, "completion empty": 1}


def test_completions_that_are_too_short_and_rows_that_are_too_long_are_dropped():
    kept, drops = cleaned(
        ("a", "four"), ("a", " 3  "), ("a" * 7, "four"), min_completion_chars=4, max_chars=10
    )
    assert kept == [("a", "four")]
    assert drops.counts == {"completion too short": 1, "row too long": 1}


def test_a_duplicate_has_the_same_prompt_and_completion():
    rows = [("a", "b"), ("a", "c"), ("a", "b"), ("ab", ""), ("a", "b")]
    kept, drops = cleaned(*rows)
    assert kept == [("a", "b"), ("a", "c")]
    assert drops.counts["duplicate"] == 2
    assert cleaned(*rows, drop_duplicates=False)[0] == [
        ("a", "b"),
        ("a", "c"),
        ("a", "b"),
        ("a", "b"),
    ]


def test_prompt_and_completion_are_not_confused_by_where_one_ends():
    assert len(cleaned(("ab", "c"), ("a", "bc"))[0]) == 2


def test_half_a_surrogate_pair_is_dropped_since_no_file_can_hold_it():
    kept, drops = cleaned(("a", "b\ud800"), ("\ud83d", "c"), ("😀", "d"))
    assert kept == [("😀", "d")]
    assert drops.counts == {"text is not valid Unicode": 2}


def test_the_first_three_examples_are_kept_with_place_and_beginning():
    _, drops = cleaned(*[("x" * 1000 + str(i), "y") for i in range(9)], max_chars=50)
    examples = drops.examples["row too long"]
    assert [one.place for one in examples] == [f"a.jsonl, line {n}" for n in (1, 2, 3)]
    assert len(examples[0].text) == 160
    assert drops.counts["row too long"] == 9


def test_what_could_not_be_read_counts_as_often_as_it_stands_for():
    _, drops = cleaned(Rejected("no move was made", "game_1.json", "", 7), ("a", "b"))
    assert drops.counts == {"no move was made": 7}
