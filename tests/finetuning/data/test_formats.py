"""Tables in the formats of other people."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from finetuning.data.columns import find_columns
from finetuning.data.rows import Rejected, SourceRow
from finetuning.data.sources import Source, find_files
from finetuning.data.table_reading import read_table
from probes.errors import InputError
from tests.finetuning.data.helpers import write_lines


def read(path: Path) -> tuple[list[SourceRow], list[Rejected], list[str]]:
    """Rows, rejected rows, and what was taken."""
    taken: list[str] = []
    kind = find_files(Source("a", (str(path),))).kind
    items = list(read_table(path, kind, lambda _bytes: None, taken.append))
    rows = [item for item in items if isinstance(item, SourceRow)]
    return rows, [item for item in items if isinstance(item, Rejected)], taken


def texts(path: Path) -> list[tuple[str, str]]:
    return [(row.prompt, row.completion) for row in read(path)[0]]


# -- JSON and JSON lines ----------------------------------------------------------------------


def test_prompt_and_completion_are_kept_to_the_letter(tmp_path):
    rows = [{"prompt": " Q: ü\u2028 ", "completion": " A\n"}, {"prompt": "x", "completion": "y"}]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    assert texts(path) == [(" Q: ü\u2028 ", " A\n"), ("x", "y")]


def test_alpaca_joins_instruction_and_input_with_an_empty_line(tmp_path):
    rows = [
        {"instruction": "Translate.", "input": "Haus", "output": "house"},
        {"instruction": "Name a prime.", "input": "", "output": "7"},
    ]
    (tmp_path / "alpaca.json").write_text(json.dumps(rows))
    assert texts(tmp_path / "alpaca.json") == [
        ("Translate.\n\nHaus\n", "house"),
        ("Name a prime.\n", "7"),
    ]
    assert "instruction and input" in read(tmp_path / "alpaca.json")[2][0]


def test_dolly_takes_instruction_context_and_response(tmp_path):
    row = {"instruction": "Who?", "context": "Ada wrote.", "response": "Ada.", "category": "qa"}
    path = write_lines(tmp_path / "dolly.jsonl", [row])
    assert texts(path) == [("Who?\n\nAda wrote.\n", "Ada.")]


def test_gsm8k_takes_question_and_answer(tmp_path):
    path = write_lines(tmp_path / "g.jsonl", [{"question": "6 × 7?", "answer": "42 eggs\n#### 42"}])
    assert texts(path) == [("6 × 7?\n", "42 eggs\n#### 42")]


def test_a_number_as_an_answer_becomes_text(tmp_path):
    assert texts(write_lines(tmp_path / "a.jsonl", [{"question": "6 × 7?", "answer": 42}])) == [
        ("6 × 7?\n", "42")
    ]


def test_openorca_puts_the_system_prompt_first(tmp_path):
    row = {"id": "1", "system_prompt": "Be brief.", "question": "Why?", "response": "So."}
    assert texts(write_lines(tmp_path / "a.jsonl", [row])) == [("Be brief.\n\nWhy?\n", "So.")]


def test_messages_give_the_last_answer_and_the_turns_before_it(tmp_path):
    def talk(*turns):
        return {"messages": [{"role": role, "content": text} for role, text in turns]}

    rows = [
        talk(("user", "Hi"), ("assistant", "Hello")),
        talk(("system", "Be kind."), ("user", "Hi"), ("assistant", "Hello")),
        talk(("user", "Hi"), ("assistant", "Hello"), ("user", "Bye"), ("assistant", "See you")),
        talk(("user", "Hi"), ("assistant", "Hello"), ("user", "Anyone?")),
    ]
    assert texts(write_lines(tmp_path / "a.jsonl", rows)) == [
        ("Hi\n", "Hello"),
        ("Be kind.\n\nHi\n", "Hello"),
        ("User: Hi\n\nAssistant: Hello\n\nUser: Bye\n", "See you"),
        ("Hi\n", "Hello"),
    ]


def test_a_content_may_be_parts_of_text_and_what_cannot_be_read_is_named(tmp_path):
    def asked(*answer):
        return {
            "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}, *answer]
        }

    rows = [
        asked({"role": "assistant", "content": [{"type": "text", "text": "Hel"}, "lo"]}),
        asked({"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]}),
        asked({"role": "assistant", "content": [{"type": "image", "url": "a.png"}]}),
    ]
    rows, rejected, _ = read(write_lines(tmp_path / "chat.jsonl", rows))
    assert [(row.prompt, row.completion) for row in rows] == [("Hi\n", "Hello")]
    calls, image = (one.text for one in rejected)
    assert "number 2" in calls and "calls a tool" in calls
    assert "number 2" in image and "text" in image


def test_sharegpt_is_read_and_a_talk_without_an_answer_is_rejected(tmp_path):
    rows = [
        {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello"}]},
        {"conversations": [{"from": "human", "value": "Hi"}]},
        {"conversations": "Hi"},
        {"conversations": None},
    ]
    path = write_lines(tmp_path / "sharegpt.jsonl", rows)
    rows, rejected, taken = read(path)
    assert [(row.prompt, row.completion) for row in rows] == [("Hi\n", "Hello")]
    assert [one.reason for one in rejected] == [
        "no answer of the assistant",
        "field is not text",
        "field missing",
    ]
    assert "conversations" in taken[0]


def test_conversational_prompt_and_completion_are_read_as_text(tmp_path):
    row = {
        "prompt": [{"role": "user", "content": "Hi\n"}],
        "completion": [{"role": "assistant", "content": "Hello"}],
    }
    ((prompt, completion),) = texts(write_lines(tmp_path / "a.jsonl", [row]))
    assert (prompt, completion) == ("Hi\n", "Hello")


def test_rows_of_the_earlier_version_are_grouped_by_algorithm_and_game(tmp_path):
    base = {"prompt": "p\n", "completion": "c"}
    rows = [
        base | {"algorithm": "BFS", "move_index": 0, "game_id": 1},
        base | {"algorithm": "DFS", "move_index": 0, "game_id": 1},
        base | {"algorithm": "BFS", "move_index": 1, "game_id": None},
    ]
    found, _, taken = read(write_lines(tmp_path / "a.jsonl", rows))
    assert [row.group for row in found] == ["BFS/1", "DFS/1", None]
    assert "algorithm and game_id" in taken[0]


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["text"], "text"),
        (["prompt", "chosen", "rejected"], "chosen"),
        (["question", "answer", "response"], "answer"),
        (["instruction", "question", "answer"], "instruction"),
        ([], "none"),
    ],
)
def test_unclear_columns_are_refused_and_named(names, told):
    with pytest.raises(InputError, match=told) as error:
        find_columns(names, "a.jsonl")
    assert "a.jsonl" in str(error.value)


def test_columns_are_found_in_capitals_too() -> None:
    found = find_columns(["Instruction", "INPUT", "Output"], "a.csv")
    assert (found.prompt, found.context, found.completion) == ("Instruction", "INPUT", "Output")
    assert find_columns(["Prompt", "Completion"], "a.csv").completion == "Completion"


def test_prompt_and_completion_win_over_other_columns():
    columns = find_columns(["prompt", "completion", "answer", "messages"], "a")
    assert (columns.prompt, columns.completion) == ("prompt", "completion")


def test_a_first_row_that_lacks_a_column_does_not_hide_it(tmp_path):
    rows = [{"prompt": "a"}, {"prompt": "b", "completion": "c"}, {"prompt": 1.5, "completion": []}]
    found, rejected, _ = read(write_lines(tmp_path / "a.jsonl", rows))
    assert len(found) == 1
    assert [one.reason for one in rejected] == ["field missing", "field is not text"]


def test_a_nan_is_a_missing_text_and_not_the_word_nan(tmp_path):
    rows = [{"prompt": "a", "completion": "b"}, {"prompt": "c", "completion": float("nan")}]
    found, rejected, _ = read(write_lines(tmp_path / "a.jsonl", rows))
    assert [row.completion for row in found] == ["b"]
    assert [one.reason for one in rejected] == ["field missing"]


@pytest.mark.parametrize(
    ("names", "words"),
    [(["text"], "where its prompt ends"), (["prompt", "chosen", "rejected"], "for DPO")],
)
def test_a_known_kind_without_answers_is_told_what_it_lacks(names, words):
    with pytest.raises(InputError, match=words):
        find_columns(names, "a")


def test_broken_lines_among_good_ones_are_rejected_with_their_number(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt":"a","completion":"b"}\n\n{"prompt": \n[1]\n{"prompt":"c","compl')
    rows, rejected, _ = read(path)
    assert len(rows) == 1
    assert [one.reason for one in rejected] == [
        "broken JSON",
        "row is not a table of names and values",
        "broken JSON",
    ]
    assert [one.place.rpartition(" ")[2] for one in rejected] == ["3", "4", "5"]


def test_a_file_without_one_readable_line_is_refused_with_the_first(tmp_path):
    (tmp_path / "a.jsonl").write_text("prompt: a\ncompletion: b\n")
    with pytest.raises(InputError, match=r"a\.jsonl, line 1"):
        read(tmp_path / "a.jsonl")
    (tmp_path / "b.json").write_text('[{"prompt": "a", ')
    with pytest.raises(InputError, match=r"b\.json"):
        read(tmp_path / "b.json")
    (tmp_path / "c.json").write_text('{"rows":\n []}')
    with pytest.raises(InputError, match=r"c\.json"):
        read(tmp_path / "c.json")


def test_a_byte_order_mark_and_crlf_change_nothing(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"prompt":"a\\r\\nb","completion":"c"}\r\n')
    assert texts(path) == [("a\nb", "c")]


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_other_encodings_are_refused_with_file_and_line(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    text = 'prompt,completion\n"{""prompt"":1}",é\n'
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=rf"a\.{suffix}, line 2: .*0xe9"):
        read(path)
    path.write_bytes(text.encode("utf-16"))
    with pytest.raises(InputError, match="UTF-16"):
        read(path)


# -- CSV --------------------------------------------------------------------------------------


def test_csv_keeps_quoted_newlines_commas_and_quotes(tmp_path):
    path = tmp_path / "a.csv"
    rows = [("a\nb, c\n", 'say "hi"'), ("d\r\ne", "f")]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([("prompt", "completion"), *rows])
    assert b"\r\n" in path.read_bytes()
    assert texts(path) == [("a\nb, c\n", 'say "hi"'), ("d\ne", "f")]


@pytest.mark.parametrize("delimiter", [";", "\t", ","])
def test_csv_may_use_semicolons_or_tabs(tmp_path, delimiter):
    path = tmp_path / "a.csv"
    path.write_text(f"Id{delimiter}question{delimiter}answer\n1{delimiter}a?{delimiter}b\n")
    assert texts(path) == [("a?\n", "b")]


def test_csv_rows_with_too_few_fields_are_rejected_with_the_line_they_begin_at(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('prompt,completion\n"a\nb",c\nd\n\ne,f\n')
    rows, rejected, _ = read(path)
    assert [row.place.rpartition(" ")[2] for row in rows] == ["2", "6"]
    assert (rejected[0].reason, rejected[0].place) == (
        "wrong number of fields",
        f"{path}, line 4",
    )


def test_a_quote_that_is_never_closed_is_refused_with_its_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('prompt,completion\na,b\nc,"d\ne,f\n')
    with pytest.raises(InputError, match="line 3: a quote"):
        read(path)


def test_a_long_field_is_read_whole(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("prompt,completion\na," + "b" * 200_000 + "\n")
    assert len(texts(path)[0][1]) == 200_000
    assert csv.field_size_limit() == 131_072


def test_a_column_that_is_named_twice_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("prompt,completion,prompt\na,b,c\n")
    with pytest.raises(InputError, match="named twice"):
        read(tmp_path / "a.csv")


# -- folders of the library datasets ----------------------------------------------------------


def test_a_datasets_folder_is_read_and_of_several_splits_only_train(tmp_path):
    datasets = pytest.importorskip("datasets")
    train = datasets.Dataset.from_dict({"question": ["a?", "b?"], "answer": ["1", None]})
    train.save_to_disk(str(tmp_path / "plain"))
    datasets.DatasetDict(train=train, test=train).save_to_disk(str(tmp_path / "splits"))
    datasets.DatasetDict(x=train, y=train).save_to_disk(str(tmp_path / "unclear"))
    for name in ("plain", "splits"):
        rows, rejected, taken = read(tmp_path / name)
        assert [(row.prompt, row.completion) for row in rows] == [("a?\n", "1")]
        assert [one.reason for one in rejected] == ["field missing"]
    assert taken[0] == "split train, and not test"
    with pytest.raises(InputError, match=r"x, y.*unclear/x"):
        read(tmp_path / "unclear")
