"""Text as a language model is given it: files read into documents, documents turned into tokens.

Nothing is downloaded. A token is a byte, or what a local ``tokenizer.json`` says. Runs in the
user's interpreter: Python 3.10 syntax, torch, and ``tokenizers`` for such a file only.
"""

from __future__ import annotations

import glob
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from probes.errors import InputError
from probes.formatting import size_text

SAMPLE = "sample"
"""The data option that means the text which ships with Tonnage."""

SAMPLE_FILE = Path(__file__).with_name("sample.txt")
SAMPLE_REPEATS = 16
"""The sample is repeated this many times as one document, longer than any sequence."""

SUFFIXES = (".txt", ".jsonl")
READ_BYTES = 16 * 2**20
"""Bytes of the data that every probe reads; the rest is only counted."""

USUAL_ENDS = ("</s>", "<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "<eos>", "[SEP]")
"""How tokenizers name the end of a text, where no ``tokenizer_config.json`` says it."""


@dataclass(frozen=True)
class TextDocument:
    """One text to learn; with a prompt, only what follows the prompt is learnt."""

    text: str
    prompt: str | None = None


@dataclass(frozen=True)
class TextSource:
    """What was read, and how much there is."""

    documents: list[TextDocument]
    files: list[Path] = field(default_factory=list)
    """All of them, also those that lie beyond what was read."""
    total_bytes: int | None = None
    """Size of all files; ``None`` where the data is the sample, which has no size of its own."""
    read_bytes: int = 0
    notes: list[str] = field(default_factory=list)


# -- reading ------------------------------------------------------------------------------------


def read(data: str) -> TextSource:
    """The documents of ``data``: ``"sample"``, a file, a folder or a pattern such as ``a/*.txt``.

    A ``.txt`` file is one document, a line of a ``.jsonl`` file is one too: an object with
    ``text``, or with ``prompt`` and ``completion``. Files are read in the order of their names.

    Raises ``InputError`` for what is missing, empty, of another kind or not well-formed.
    """
    if data == SAMPLE:
        return _sample()
    documents: list[TextDocument] = []
    files = _files(data)
    total = done = 0
    for path in files:
        size = path.stat().st_size
        total += size
        left = READ_BYTES - done
        if left <= 0:
            continue
        if path.suffix == ".jsonl":
            done += _read_lines(path, left, documents)
        else:
            with path.open("rb") as file:
                documents.append(TextDocument(_text(file.read(left))))
            done += min(size, left)
    documents = [d for d in documents if d.text]
    if not documents:
        raise InputError(f"data={data!r}: there is no text in it. Give files that are not empty.")
    notes = []
    if done < total:
        notes.append(
            f"The first {size_text(done)} of {size_text(total)} of text are used, in the "
            "order of the file names; the number of samples is extrapolated."
        )
    return TextSource(documents, files, total, done, notes)


def _sample() -> TextSource:
    text = SAMPLE_FILE.read_text(encoding="utf-8")
    texts = [text * SAMPLE_REPEATS, *text.split("\n\n")]
    note = (
        "The data is the sample text that ships with Tonnage, repeated without end: memory and "
        "time of a step are those of any text, but it does not limit the batch. Give your own with "
        "--option data=PATH."
    )
    return TextSource([TextDocument(part) for part in texts], notes=[note])


def _files(data: str) -> list[Path]:
    path = Path(data).expanduser()
    if path.is_dir():
        found = [p for p in sorted(path.rglob("*")) if p.is_file() and p.suffix in SUFFIXES]
    elif path.is_file():
        found = [path]
    else:
        pattern = str(path)
        found = [Path(name) for name in sorted(glob.glob(pattern, recursive=True))]  # noqa: PTH207
        found = [p for p in found if p.is_file()]
    if not found:
        raise InputError(
            f"data={data!r}: there is no {' or '.join(SUFFIXES)} file at {path.absolute()}. Give "
            f"--option data= a file, a folder or a pattern in quotes, or {SAMPLE!r}."
        )
    for other in found:
        if other.suffix not in SUFFIXES:
            raise InputError(
                f"data={data!r}: {other.name} is neither plain text (.txt) nor one JSON object per "
                "line (.jsonl). Convert it, or name files of these kinds only."
            )
    return found


def _read_lines(path: Path, most_bytes: int, documents: list[TextDocument]) -> int:
    done = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                documents.append(_row(_text(line), f"{path.name}, line {number}"))
            done += len(line)
            if done >= most_bytes:
                break
    return done


def _row(line: str, where: str) -> TextDocument:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error}). Repair or remove the line.") from None
    if isinstance(row, dict):
        prompt, completion, text = (row.get(key) for key in ("prompt", "completion", "text"))
        if isinstance(prompt, str) and isinstance(completion, str):
            return TextDocument(completion, prompt)
        if isinstance(text, str):
            return TextDocument(text)
    keys = ", ".join(map(str, row)) if isinstance(row, dict) else type(row).__name__
    raise InputError(
        f'{where}: it has {keys or "no keys"}. A line is {{"prompt": "…", "completion": "…"}} or '
        '{"text": "…"}, with strings.'
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", errors="replace")


# -- tokens -------------------------------------------------------------------------------------


class ByteTokenizer:
    """A token is a byte of UTF-8, so that any text can be read without a vocabulary."""

    end: int | None = 256
    """Ends every document, so that a model learns to stop."""
    padding = 257
    """Fills rows up. It is not ``end``, which would be hidden from the loss with it."""
    vocabulary = 258

    def encode(self, texts: Sequence[str]) -> list[Tensor]:
        """One tensor of token ids per text, int32."""
        return [
            torch.frombuffer(bytearray(raw), dtype=torch.uint8).int() if raw else _none()
            for raw in (text.encode() for text in texts)
        ]


class FileTokenizer:
    """The tokenizer of a local ``tokenizer.json``, as Hugging Face's ``tokenizers`` reads it.

    Which tokens end a text and fill rows up is read from the ``tokenizer_config.json`` beside it.
    Raises ``InputError`` for a file that cannot be read.
    """

    def __init__(self, path: Path) -> None:
        import tokenizers

        self.path = path
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # what the Rust code raises is a plain Exception
            raise InputError(
                f"tokenizer={str(path)!r}: it cannot be read ({error}). Give the path of a "
                "tokenizer.json, as `tokenizer.save_pretrained(folder)` writes it."
            ) from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        named = _named_tokens(path.with_name("tokenizer_config.json"))
        ends = [named["eos_token"]] if named.get("eos_token") else USUAL_ENDS
        self.end: int | None = self._id(ends)
        padding = self._id([named["pad_token"]] if named.get("pad_token") else [])
        if padding is None or padding == self.end:
            padding = 1 if self.end == 0 else 0
        self.padding: int = padding
        self.vocabulary: int = self._tokenizer.get_vocab_size()

    def encode(self, texts: Sequence[str]) -> list[Tensor]:
        """One tensor of token ids per text, int32; special tokens are not added."""
        encoded = self._tokenizer.encode_batch(list(texts), add_special_tokens=False)
        return [torch.tensor(one.ids, dtype=torch.int32) for one in encoded]

    def _id(self, names: Sequence[str]) -> int | None:
        found = (self._tokenizer.token_to_id(name) for name in names)
        return next((token for token in found if token is not None), None)


Tokenizer = ByteTokenizer | FileTokenizer


def _named_tokens(path: Path) -> dict[str, str]:
    """``eos_token`` and ``pad_token``; they are strings or objects with ``content``."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    names: dict[str, str] = {}
    for key in ("eos_token", "pad_token"):
        value: Any = config.get(key)
        if isinstance(value, dict):
            value = value.get("content")
        if isinstance(value, str):
            names[key] = value
    return names


def _none() -> Tensor:
    return torch.zeros(0, dtype=torch.int32)
