"""What a source is read into: one item per row, either taken or rejected. Standard library only."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True)
class SourceRow:
    """A row as its source has it, before cleaning."""

    prompt: str
    completion: str
    group: str | None
    """Rows of one group are never divided between the splits. None: the source names no group."""
    place: str
    """File and line (or row), for a person."""


@dataclass(frozen=True)
class Rejected:
    """A row that could not be taken, and why. ``reason`` is one of a few; ``place`` tells more."""

    reason: str
    place: str
    text: str = ""
    """Beginning of what was rejected, or what exactly was wrong with it."""
    count: int = 1
    """For how many rows this stands."""


def digest(*texts: str) -> int:
    """A 64-bit hash, the same on every machine. Among 10 million rows two share one by accident
    with a probability of about 3 in a million."""
    lengths = ",".join(str(len(text)) for text in texts)
    data = f"{lengths}:{''.join(texts)}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


def prompt_digest(prompt: str) -> int:
    """The hash of a prompt, whatever its case and white space: what counts as the same question
    when rows are held out."""
    return digest(" ".join(prompt.split()).casefold())
