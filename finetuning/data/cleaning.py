"""Which rows of a source are kept. What is dropped is counted, and the first examples are kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from finetuning.data.rows import Rejected, SourceRow, digest
from finetuning.settings.model import DataSettings

EMPTY_PROMPT, EMPTY_COMPLETION = "prompt empty", "completion empty"
SHORT_COMPLETION, LONG_ROW = "completion too short", "row too long"
DUPLICATE, NOT_UNICODE = "duplicate", "text is not valid Unicode"
EXAMPLES = 3
"""Dropped rows that are shown for each reason."""
EXAMPLE_CHARS = 160


@dataclass(frozen=True)
class Example:
    """One dropped row: where it stands, and its beginning or what was wrong with it."""

    place: str
    text: str


@dataclass
class Drops:
    """Counts of dropped rows by reason, with the first examples."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)

    def add(self, reason: str, place: str, text: str = "", count: int = 1) -> None:
        """Count a dropped row, and keep it if it is among the first of its reason."""
        self.counts[reason] += count
        kept = self.examples.setdefault(reason, [])
        if len(kept) < EXAMPLES:
            kept.append(Example(place, _shortened(text)))


def clean(
    items: Iterable[SourceRow | Rejected], settings: DataSettings, drops: Drops
) -> Iterator[SourceRow]:
    """The rows that are kept, in their order.

    A duplicate is a row of the same source with the same prompt and completion. Rows that another
    source has too are kept: dropping them would favour the source that is read first.
    """
    seen: set[int] = set()
    for item in items:
        if isinstance(item, Rejected):
            drops.add(item.reason, item.place, item.text, item.count)
            continue
        reason = _objection(item, settings)
        if reason is None and settings.drop_duplicates:
            both = digest(item.prompt, item.completion)
            reason = DUPLICATE if both in seen else None
            seen.add(both)
        if reason is None:
            yield item
        else:
            drops.add(reason, item.place, item.prompt if item.prompt.strip() else item.completion)


def _objection(row: SourceRow, settings: DataSettings) -> str | None:
    if not row.prompt.strip():
        return EMPTY_PROMPT
    length = len(row.completion.strip())
    if not length:
        return EMPTY_COMPLETION
    if length < settings.min_completion_chars:
        return SHORT_COMPLETION
    if len(row.prompt) + len(row.completion) > settings.max_chars:
        return LONG_ROW
    return None if _is_unicode(row.prompt) and _is_unicode(row.completion) else NOT_UNICODE


def _is_unicode(text: str) -> bool:
    """Half of a surrogate pair can be written in JSON, but in no UTF-8 file."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shortened(text: str) -> str:
    text = text[: 2 * EXAMPLE_CHARS].encode("utf-8", "backslashreplace").decode()
    text = " ".join(text.split())
    return text if len(text) <= EXAMPLE_CHARS else text[: EXAMPLE_CHARS - 1] + "…"
