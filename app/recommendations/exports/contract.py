"""What a format is. To add one, write a module in this package with a function like this:

    @export_format("my-tool", "My tool's JSON")
    def to_my_tool(recommendation: Recommendation) -> Export:
        return Export(text)

Nothing else has to know of it: ``export`` finds it, and the command line, the HTTP interface and
the dashboard list it. ``sheet.Sheet`` keeps track of the values that a format cannot express. Slow
modules (``yaml``) are imported inside the function.
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
    """What the file cannot express of the recommendation, as sentences."""
    says_so: bool = True
    """Whether the text itself lists them, as a comment or under a key."""


@dataclass(frozen=True)
class Format:
    """A format that a recommendation can be exported to."""

    reader: str
    """The program that reads it, in a few words."""
    make: Callable[[Recommendation], Export]


REGISTERED: dict[str, Format] = {}
"""By the name that ``--to`` takes; complete after ``export`` is imported."""


def export_format(
    name: str, reader: str
) -> Callable[[Callable[[Recommendation], Export]], Callable[[Recommendation], Export]]:
    """Register the function below as a format. It may raise ``InputError`` where the format cannot
    carry a value."""

    def register(make: Callable[[Recommendation], Export]) -> Callable[[Recommendation], Export]:
        assert name not in REGISTERED, f"two export formats are called {name}"
        REGISTERED[name] = Format(reader, make)
        return make

    return register
