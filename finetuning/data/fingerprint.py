"""From what a prepared folder was made: as one hash, and in parts. Standard library only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetuning.data.progress import Progress
from finetuning.data.sources import SourceFiles
from finetuning.data.summary import FORMAT
from finetuning.settings.fields import to_plain
from finetuning.settings.model import DataSettings
from probes.errors import InputError

CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class Inputs:
    """From what data is prepared. Where the files lie, and when they were written, does not
    matter."""

    key: str
    """A hash of the names and contents of all files, the data settings, and the seed."""
    sources: Mapping[str, str]
    """By the name of the source, a hash of its files alone."""


def inputs_of(
    sources: Sequence[SourceFiles], settings: DataSettings, seed: int, progress: Progress
) -> Inputs:
    """Reads every file. Raises ``InputError`` for one that cannot be read."""
    files = [(source, file) for source in sources for file in source.files()]
    progress.phase("checking", sum(_size_bytes(file) for _, file in files))
    described = [
        [source.name, source.kind.value, file.name, _hash(file, progress)] for source, file in files
    ]
    return Inputs(
        key=_digest([FORMAT, described, to_plain(settings), seed]),
        sources={
            source.name: _digest([one[1:] for one in described if one[0] == source.name])
            for source in sources
        },
    )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    return _hash(path, None)


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _hash(path: Path, progress: Progress | None) -> str:
    state = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                state.update(chunk)
                if progress:
                    progress.advance(len(chunk))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    return state.hexdigest()


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
