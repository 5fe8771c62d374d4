"""What was prepared: the contents of ``data_card.json``. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from probes.errors import InputError

FORMAT = 1
"""Of the card and the rows. Data of another format is prepared again."""
CARD = "data_card.json"


@dataclass(frozen=True)
class SourceSummary:
    """Where the rows of one source went. ``read`` is the sum of ``dropped`` and ``kept``;
    ``kept`` is the sum of ``over_limit``, ``leaked`` and ``rows`` before balancing."""

    name: str
    patterns: tuple[str, ...]
    kind: str
    files: int
    taken: tuple[str, ...]
    """Which columns, or which split, were taken; what game logs hold needs no telling."""
    read: int
    kept: int
    dropped: Mapping[str, int]
    """Rows by reason."""
    examples: Mapping[str, list[dict[str, str]]]
    """The first dropped rows of each reason: ``place`` and ``text``."""
    over_limit: int
    """Rows left out by ``max_samples_per_source``."""
    leaked: Mapping[str, int]
    """Rows taken out of a split because their prompt is held out in another."""
    groups: Mapping[str, int]
    """By split."""
    rows: Mapping[str, int]
    """By split, before balancing."""
    left_out: int
    """Training rows that balancing left out."""
    repeated: int
    """Copies of training rows that balancing added."""
    sha256: str = ""
    """Of its files; empty in the card of an earlier version."""


@dataclass(frozen=True)
class SplitFile:
    """A file of rows."""

    rows: int
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class TokenLengths:
    """Lengths of prompt and completion together, with the end token."""

    tokenizer: str
    rows: int
    """Rows that were counted: all, or as many of each split as a random sample needs."""
    p50: int
    p95: int
    longest: int
    max_length: int
    truncated: float
    """Share of the rows that are longer than ``max_length``."""
    answerless: float
    """Share of the rows whose prompt fills ``max_length``: nothing of the completion trains."""


@dataclass(frozen=True)
class DataSummary:
    """What ``prepare`` made, as the data card has it."""

    fingerprint: str
    """Of sources, settings and seed; the same inputs give the same files."""
    seed: int
    settings: Mapping[str, Any]
    sources: tuple[SourceSummary, ...]
    splits: Mapping[str, SplitFile]
    contradictory: int
    """Kept rows whose prompt came before with another completion."""
    shared: int
    """Kept rows that another source has too, prompt and completion."""
    notes: tuple[str, ...]
    tokens: TokenLengths | None = None
    format: int = FORMAT
    folder: Path = field(default=Path(), compare=False)
    reused: bool = field(default=False, compare=False)
    """The folder was complete already, and nothing was written."""

    def path(self, split: str) -> Path:
        """The file of a split: ``train``, ``eval`` or ``test``."""
        return self.folder / f"{split}.jsonl"

    def to_json(self) -> str:
        """The card, without what depends on where and when it is read."""
        plain = asdict(self)
        del plain["folder"], plain["reused"]
        return json.dumps(plain, indent=1, ensure_ascii=False) + "\n"


def read_summary(folder: Path) -> DataSummary:
    """The summary of a prepared folder.

    Raises ``InputError`` where the card is missing, broken or of another format.
    """
    path = folder / CARD
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if plain["format"] != FORMAT:
            raise ValueError(f"format {plain['format']}, this version reads {FORMAT}")
        plain["sources"] = tuple(_made(SourceSummary, one) for one in plain["sources"])
        plain["splits"] = {name: SplitFile(**one) for name, one in plain["splits"].items()}
        plain["tokens"] = TokenLengths(**plain["tokens"]) if plain["tokens"] else None
        summary: DataSummary = _made(DataSummary, plain)
    except FileNotFoundError:
        raise InputError(f"{folder} has no {CARD}, so it is not prepared data.") from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} cannot be read: {error}.") from error
    return replace(summary, folder=folder, reused=True)


def _made(cls: type[Any], plain: Mapping[str, Any]) -> Any:
    known = {one.name for one in fields(cls)}
    if unknown := set(plain) - known:
        raise ValueError(f"unknown key {min(unknown)}")
    return cls(**{name: tuple(v) if _is_tuple(name, v) else v for name, v in plain.items()})


def _is_tuple(name: str, value: Any) -> bool:
    return isinstance(value, list) and name in ("patterns", "taken", "notes")
