"""From what a prepared folder was made, as one hash. Standard library only."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from finetuning.data.progress import Progress
from finetuning.data.sources import SourceFiles
from finetuning.data.summary import FORMAT
from finetuning.settings.fields import to_plain
from finetuning.settings.model import DataSettings
from probes.errors import InputError

CHUNK_BYTES = 2**20


def fingerprint(
    sources: Sequence[SourceFiles], settings: DataSettings, seed: int, progress: Progress
) -> str:
    """A hash of the names and contents of all files, the data settings, and the seed.

    Where the files lie, and when they were written, does not matter. Raises ``InputError`` for a
    file that cannot be read.
    """
    files = [(source, file) for source in sources for file in source.files()]
    progress.phase("checking", sum(_size_bytes(file) for _, file in files))
    described = [
        [source.name, source.kind.value, file.name, _hash(file, progress)] for source, file in files
    ]
    text = json.dumps([FORMAT, described, to_plain(settings), seed])
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    return _hash(path, None)


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
