"""Text into tokens, tokens into sequences, sequences into batches."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from probes.errors import InputError
from probes.workloads import text
from probes.workloads.sequences import NOT_LEARNT, Batch, Corpus
from probes.workloads.text import ByteTokenizer, FileTokenizer, TextDocument, read

END, PAD = ByteTokenizer.end, ByteTokenizer.padding


def corpus(*documents: TextDocument | str) -> Corpus:
    made = [d if isinstance(d, TextDocument) else TextDocument(d) for d in documents]
    return Corpus(made, ByteTokenizer())


def rows(batch: Batch) -> list[str]:
    """What the rows say; the end of a text is ``|``, padding is ``_``."""
    return ["".join(map(sign, row)) for row in batch["input_ids"].tolist()]


def learnt(batch: Batch) -> list[str]:
    """The tokens that are labels; ``.`` where there is none."""
    return ["".join(map(sign, row)) for row in batch["labels"].tolist()]


def sign(token: int) -> str:
    special = {END: "|", PAD: "_", NOT_LEARNT: "."}
    return special[token] if token in special else chr(token)


def everything(made: Corpus, seq_length: int, packing: bool) -> Batch:
    sequences = made.sequences(seq_length, packing)
    return sequences.collate(torch.arange(len(sequences)))


# --- files ------------------------------------------------------------------------------------


def test_a_text_file_is_a_document_and_so_is_every_line_of_jsonl(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("two\n\nparagraphs")
    (tmp_path / "deeper").mkdir()
    lines = [{"prompt": "2+2=", "completion": "4"}, {"text": "plain", "id": 3}]
    (tmp_path / "deeper" / "c.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    (tmp_path / "notes.md").write_text("not asked for")
    expected = [TextDocument("two\n\nparagraphs"), TextDocument("4", "2+2="), TextDocument("plain")]
    source = read(str(tmp_path))
    assert source.documents == expected
    assert [file.name for file in source.files] == ["b.txt", "c.jsonl"]
    assert read(str(tmp_path / "**" / "*.jsonl")).documents == expected[1:]
    assert read(str(tmp_path / "b.txt")).documents == expected[:1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "x,y", "a.csv is neither plain text"),
        ("a.txt", "", "there is no text in it"),
        ("a.jsonl", "{", "a.jsonl, line 1: not JSON"),
        ("a.jsonl", '{"text": "x"}\n{"question": "y"}', "a.jsonl, line 2: it has question"),
        ("a.jsonl", '{"prompt": "x", "completion": 3}', "with strings"),
        ("a.jsonl", "[1]", "it has list"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_what_to_give(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=said):
        read(str(tmp_path / name))


def test_of_much_text_a_part_is_read_and_the_rest_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "READ_BYTES", 100)
    (tmp_path / "a.jsonl").write_text('{"text": "0123456789"}\n' * 4)
    (tmp_path / "b.txt").write_text("b" * 300)
    (tmp_path / "c.txt").write_text("c" * 300)
    source = read(str(tmp_path))
    assert (source.read_bytes, source.total_bytes) == (100, 692)
    assert [len(d.text) for d in source.documents] == [10, 10, 10, 10, 8]
    assert len(source.files) == 3
    assert any("extrapolated" in note for note in source.notes)


def test_the_sample_is_longer_than_any_sequence() -> None:
    longest, *paragraphs = read("sample").documents
    assert len(longest.text) > 2**16
    assert len(paragraphs) > 8


# --- tokens -----------------------------------------------------------------------------------


def test_bytes_are_tokens_and_the_end_is_not_the_padding() -> None:
    tokenizer = ByteTokenizer()
    assert [t.tolist() for t in tokenizer.encode(["é", ""])] == [[0xC3, 0xA9], []]
    assert END != PAD
    assert {END, PAD} == set(range(256, tokenizer.vocabulary))


def tokenizer_json(folder: Path, special: list[str], config: dict[str, Any] | None) -> Path:
    tokenizers = pytest.importorskip("tokenizers")
    words = {word: n for n, word in enumerate([*special, "[UNK]", "the", "ship"])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.enable_padding(length=8)
    made.enable_truncation(1)
    file = folder / "tokenizer.json"
    made.save(str(file))
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return file


@pytest.mark.parametrize(
    ("special", "config", "end", "padding"),
    [
        (["<pad>", "</s>"], {"eos_token": "</s>", "pad_token": "<pad>"}, 1, 0),
        (["</s>"], {"eos_token": {"content": "</s>"}, "pad_token": "</s>"}, 0, 1),
        (["<|im_end|>", "<|endoftext|>"], None, 1, 0),
        ([], None, None, 0),
    ],
)
def test_a_tokenizer_file_is_used_without_its_own_padding(
    tmp_path: Path,
    special: list[str],
    config: dict[str, Any] | None,
    end: int | None,
    padding: int,
) -> None:
    tokenizer = FileTokenizer(tokenizer_json(tmp_path, special, config))
    assert (tokenizer.end, tokenizer.padding) == (end, padding)
    assert tokenizer.vocabulary == len(special) + 3
    (encoded,) = tokenizer.encode(["the ship"])
    assert encoded.tolist() == [len(special) + 1, len(special) + 2]


def test_a_broken_tokenizer_file_is_named(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer=.*cannot be read"):
        FileTokenizer(tmp_path / "tokenizer.json")


# --- sequences --------------------------------------------------------------------------------


def test_packed_every_sequence_is_full_and_documents_follow_each_other() -> None:
    batch = everything(corpus("abcd", "efg", "hijkl"), 5, packing=True)
    assert rows(batch) == ["abcd|", "efg|h", "ijkl|"]
    assert learnt(batch) == rows(batch)
    assert "attention_mask" not in batch


def test_apart_a_text_fills_what_it_needs_and_is_padded_to_the_longest_of_the_batch() -> None:
    made = corpus("abcdefg", "hi")
    batch = everything(made, 5, packing=False)
    assert rows(batch) == ["abcde", "fg|__", "hi|__"]
    assert learnt(batch) == ["abcde", "fg|..", "hi|.."]
    assert batch["attention_mask"].sum(dim=1).tolist() == [5, 3, 3]
    sequences = made.sequences(5, packing=False)
    assert rows(sequences.collate(torch.tensor([1, 2]))) == ["fg|", "hi|"]


def test_only_the_completion_is_learnt_in_both_layouts() -> None:
    made = corpus(TextDocument("cd", "ab"), TextDocument("gh", "ef"))
    assert learnt(everything(made, 9, packing=False)) == ["..cd|", "..gh|"]
    assert learnt(everything(made, 10, packing=True)) == ["..cd|..gh|"]


def test_a_long_prompt_is_cut_at_its_front_and_a_long_completion_at_its_end() -> None:
    long_prompt = everything(corpus(TextDocument("yz", "abcdef")), 5, packing=False)
    assert (rows(long_prompt), learnt(long_prompt)) == (["efyz|"], ["..yz|"])
    long_completion = everything(corpus(TextDocument("uvwxyz", "abc")), 5, packing=False)
    assert (rows(long_completion), learnt(long_completion)) == (["cuvwx"], [".uvwx"])


def test_a_sequence_without_anything_to_learn_is_left_out() -> None:
    made = corpus(TextDocument("x", "abcdefgh"), "klmnop")
    assert rows(everything(made, 5, packing=True)) == ["fghx|", "klmno"]
    assert rows(everything(corpus("abcd"), 4, packing=False)) == ["abcd"]  # "|" follows nothing


def test_nothing_to_learn_at_all_is_refused() -> None:
    with pytest.raises(InputError, match="seq_length=4, packing=True: no sequence"):
        corpus(TextDocument("x", "abcdefgh")).sequences(4, packing=True)


def test_a_short_text_goes_round_to_fill_one_sequence() -> None:
    assert rows(everything(corpus("ab"), 7, packing=True)) == ["ab|ab|a"]


# --- batches ----------------------------------------------------------------------------------


def test_the_first_batch_has_the_longest_rows_and_a_padded_one() -> None:
    """Padding makes attention build a mask, so it belongs to the worst case."""
    made = corpus("a", "bb", "ccccccc", "ddddd")
    first = next(made.sequences(8, packing=False).batches(3, seed=0))
    assert rows(first) == ["ccccccc|", "ddddd|__", "a|______"]
    alone = next(made.sequences(8, packing=False).batches(1, seed=0))
    assert rows(alone) == ["ccccccc|"]


@pytest.mark.parametrize("batch_size", [1, 3, 4, 11])
def test_batches_are_endless_and_none_is_longer_than_the_first(batch_size: int) -> None:
    made = corpus("a", "bb", "ccccccc", "ddddd")
    found = list(itertools.islice(made.sequences(6, packing=False).batches(batch_size, 0), 12))
    assert all(len(batch["input_ids"]) == batch_size for batch in found)
    assert max(batch["input_ids"].shape[1] for batch in found) == found[0]["input_ids"].shape[1]


def test_an_epoch_holds_every_sequence_once() -> None:
    made = corpus("a", "bb", "ccc", "dddd")
    batches = made.sequences(8, packing=False).batches(2, seed=3)
    next(batches)
    epoch = [row.rstrip("_") for batch in itertools.islice(batches, 2) for row in rows(batch)]
    assert sorted(epoch) == ["a|", "bb|", "ccc|", "dddd|"]


def test_the_seed_decides_the_order() -> None:
    made = corpus(*"abcdefghijkl")

    def second(seed: int) -> list[str]:
        return rows(list(itertools.islice(made.sequences(4, False).batches(6, seed), 2))[1])

    assert second(1) == second(1)
    assert second(1) != second(2)
