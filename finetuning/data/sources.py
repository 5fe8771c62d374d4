"""The data sources of a fine-tuning: ``--data NAME=PATTERN``, and the files that a pattern matches.

Standard library only.
"""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from finetuning.data.game_reading import is_game_log
from probes.errors import InputError

NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.*+-]*$")
GAME_FILE = re.compile(r"^game_(\d+)\.json$")
DATASET_MARKS = ("dataset_dict.json", "dataset_info.json")
LINES_SUFFIXES, TABLE_SUFFIXES = (".jsonl", ".ndjson"), (".csv", ".tsv")
KINDS_TEXT = (
    "game logs (game_1.json, …), JSON lines, JSON, CSV, or a folder of the library datasets"
)


class Kind(str, Enum):
    """What a file or folder of a source is."""

    GAMES = "game logs"
    LINES = "JSON lines"
    JSON = "JSON"
    CSV = "CSV"
    DATASET = "datasets folder"


@dataclass(frozen=True)
class Source:
    """A name, and the patterns whose files belong to it."""

    name: str
    patterns: tuple[str, ...]

    def __post_init__(self) -> None:
        if not NAME.match(self.name):
            raise InputError(
                f"{self.name!r} cannot name a data source: use letters, digits and _ - . + *, "
                "beginning with a letter or digit."
            )
        if not self.patterns or not all(pattern.strip() for pattern in self.patterns):
            raise InputError(
                f"The data source {self.name} has no pattern: write {self.name}=PATH, for example "
                f"{self.name}=logs/{self.name}.jsonl."
            )


@dataclass(frozen=True)
class SourceFiles:
    """What the patterns of a source match: files or folders of one kind, in a fixed order."""

    name: str
    kind: Kind
    paths: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    def files(self) -> list[Path]:
        """Every single file, those inside of a ``datasets`` folder too."""
        if self.kind is not Kind.DATASET:
            return list(self.paths)
        return [file for path in self.paths for file in sorted(path.rglob("*")) if file.is_file()]


def parse_sources(texts: Iterable[str]) -> list[Source]:
    """Sources from ``NAME=PATTERN``. A name that is given several times collects the patterns.

    Raises ``InputError`` for a text without a name or pattern, and where there is no text.
    """
    patterns: dict[str, list[str]] = {}
    for text in texts:
        name, equals, pattern = text.partition("=")
        if not equals:
            stem = re.sub(r"[^A-Za-z0-9_.-]", "", Path(text).stem) or "NAME"
            raise InputError(f"{text!r} names no data source. Write {stem}={text}.")
        patterns.setdefault(name.strip(), []).append(pattern.strip())
    if not patterns:
        raise InputError("No data was given. Name at least one source: --data NAME=PATH.")
    return [Source(name, tuple(found)) for name, found in patterns.items()]


def find_files(source: Source) -> SourceFiles:
    """The files of a source.

    Folders that only a wildcard matches are passed over where they hold no data. Raises
    ``InputError`` where a pattern matches nothing, something of no known kind, or things of several
    kinds.
    """
    found: dict[Path, Kind] = {}
    notes: list[str] = []
    for pattern in source.patterns:
        try:
            known = [
                one
                for path in _matches(source.name, pattern)
                for one in _known(source.name, path, notes)
            ]
        except OSError as error:
            raise InputError(
                f"The data source {source.name}: {error.filename} cannot be read: {error.strerror}."
            ) from error
        if not known:
            raise InputError(
                f"The data source {source.name}: the folder {pattern} holds none of these: "
                f"{KINDS_TEXT}."
            )
        for path, kind in known:
            found.setdefault(path, kind)
    kinds = sorted({kind.value for kind in found.values()})
    if len(kinds) > 1:
        examples = {kind.value: path for path, kind in reversed(found.items())}
        listed = "; ".join(f"{kind}: {examples[kind]}" for kind in kinds)
        raise InputError(
            f"The data source {source.name} matches files of several kinds ({listed}). Give each "
            "kind a source of its own, or a narrower pattern."
        )
    return SourceFiles(source.name, Kind(kinds[0]), tuple(found), tuple(notes))


def _matches(name: str, pattern: str) -> list[Path]:
    expanded = str(Path(pattern).expanduser())
    if Path(expanded).exists():
        return [Path(expanded)]
    matches = [Path(one) for one in sorted(glob.glob(expanded, recursive=True))]  # noqa: PTH207
    if matches:
        return sorted(matches, key=_natural)
    if glob.has_magic(expanded):
        raise InputError(f"The data source {name}: no file or folder matches {pattern}.")
    parent = Path(expanded).parent
    missing = pattern if parent.is_dir() else f"{pattern} (there is no folder {parent})"
    raise InputError(f"The data source {name}: there is no file or folder {missing}.")


def _known(name: str, path: Path, notes: list[str]) -> list[tuple[Path, Kind]]:
    if path.is_dir():
        return _in_folder(path, notes)
    kind = _kind_of_file(path)
    if kind is None:
        raise InputError(f"The data source {name}: {path} is none of these: {KINDS_TEXT}.")
    return [(path, kind)]


def _in_folder(folder: Path, notes: list[str]) -> list[tuple[Path, Kind]]:
    if any((folder / mark).is_file() for mark in DATASET_MARKS):
        return [(folder, Kind.DATASET)]
    files = sorted((one for one in folder.iterdir() if one.is_file()), key=_natural)
    games = [one for one in files if GAME_FILE.match(one.name)]
    tables = [one for one in files if one.suffix.lower() in (*LINES_SUFFIXES, *TABLE_SUFFIXES)]
    if games:
        if tables:
            others = ", ".join(one.name for one in tables[:3])
            notes.append(f"{folder}: the game logs were read, and not {others} beside them.")
        return [(one, Kind.GAMES) for one in games]
    plain = [one for one in files if one.suffix.lower() == ".json"]
    return [(one, kind) for one in tables + plain if (kind := _kind_of_file(one))]


def _kind_of_file(path: Path) -> Kind | None:
    suffix = path.suffix.lower()
    if GAME_FILE.match(path.name):
        return Kind.GAMES
    if suffix in LINES_SUFFIXES:
        return Kind.LINES
    if suffix in TABLE_SUFFIXES:
        return Kind.CSV
    return _kind_of_json(path) if suffix == ".json" else None


def _kind_of_json(path: Path) -> Kind:
    """``.json`` is used for a game log, for a list of rows, and for JSON lines."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            line = next((line for line in file if line.strip()), "")
            if line.lstrip().startswith("["):
                return Kind.JSON
            if (value := _parsed(line)) is None:
                value = _parsed(line + file.read())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    if is_game_log(value):
        return Kind.GAMES
    return Kind.JSON if value is None else Kind.LINES


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Sorts game_2 before game_10."""
    parts = re.split(r"(\d+)", str(path))
    return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts]
