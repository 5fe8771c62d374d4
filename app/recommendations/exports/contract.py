"""The interface of an export format.

To add a format, write a module in this package with a function like this:

    @export_format("my-tool", "My tool's JSON")
    def to_my_tool(recommendation: Recommendation) -> Export:
        return Export(text)

No other file needs a change: ``export`` finds it, and the command line, the HTTP interface and the
dashboard list it. ``sheet.Sheet`` keeps track of the values that a format cannot express. Import
slow modules (``yaml``) inside the function.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from optimizer.records import Recommendation


@dataclass(frozen=True)
class Export:
    """A file for another program."""

    text: str
    """Ends in a line break."""
    unsaid: list[str] = field(default_factory=list)
    """Sentences about the parts of the recommendation that the file cannot express."""
    says_so: bool = True
    """Whether the text itself lists them, as a comment or under a key."""


@dataclass(frozen=True)
class Format:
    """A format that a recommendation can be exported to."""

    reader: str
    """A short description of the program that reads it."""
    make: Callable[[Recommendation], Export]


REGISTERED: dict[str, Format] = {}
"""The formats by their name for ``--to``. Complete once ``export`` is imported."""


def export_format(
    name: str, reader: str
) -> Callable[[Callable[[Recommendation], Export]], Callable[[Recommendation], Export]]:
    """Register the decorated function as a format. It may raise ``InputError`` for a value that the
    format cannot express."""

    def register(make: Callable[[Recommendation], Export]) -> Callable[[Recommendation], Export]:
        assert name not in REGISTERED, f"two export formats are called {name}"
        REGISTERED[name] = Format(reader, make)
        return make

    return register
