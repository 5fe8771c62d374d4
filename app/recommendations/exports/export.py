"""What an export is, and how one is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field

from app.recommendations.exports.formats import FORMATS
from optimizer.records import Recommendation
from probes.errors import InputError
from probes.space import unknown_name


@dataclass(frozen=True)
class Export:
    """A file for another program."""

    text: str
    """Ends in a line break."""
    unsaid: list[str] = field(default_factory=list)
    """What of the recommendation the file cannot express, as sentences."""
    says_so: bool = True
    """Whether the text itself names them, as a comment or under a key."""


def export(recommendation: Recommendation, to: str) -> Export:
    """The recommendation in the format ``to``.

    Raises ``InputError`` for an unknown format, and where a format cannot carry a value.
    """
    if to not in FORMATS:
        raise InputError(unknown_name("export format", to, FORMATS))
    made: Export = FORMATS[to].load()(recommendation)
    return made
