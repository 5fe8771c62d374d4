"""Full-text search over pages."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from knowledge.model import Page

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
MAX_WORDS = 20
EXCERPT_CHARACTERS = 160
# How much an occurrence counts: in the name, the domains, the overview, the rest of the text.
_WEIGHTS = (8.0, 4.0, 3.0, 1.0)


@dataclass(frozen=True)
class Match:
    """A page in which every word occurs."""

    page: Page
    score: float
    """Only good for ordering the matches of one search."""
    excerpt: str
    """The text around the first occurrence, on one line."""


def search(pages: Iterable[Page], words: str, limit: int = 20) -> list[Match]:
    """The pages in which each of the words occurs at the beginning of a word, the best first.

    Case does not matter. No words, or a limit below one, find nothing.
    """
    wanted = list(dict.fromkeys(_WORD.findall(words.lower())))[:MAX_WORDS]
    if not wanted:
        return []
    found = [match for page in pages if (match := _match(page, wanted)) is not None]
    found.sort(key=lambda match: (-match.score, match.page.full_name))
    return found[: max(0, limit)]


def _match(page: Page, wanted: list[str]) -> Match | None:
    fields = (
        page.name,
        f"{' '.join(page.domains)} {page.type.value}",
        page.overview,
        page.text,
    )
    counted = [_WORD.findall(field.lower()) for field in fields]
    score = 0.0
    for word in wanted:
        points = sum(
            weight * min(5, sum(found.startswith(word) for found in words))
            for weight, words in zip(_WEIGHTS, counted)
        )
        if points == 0:
            return None
        score += points
    return Match(page, score, _excerpt(page, wanted))


def _excerpt(page: Page, wanted: list[str]) -> str:
    prose = " ".join(section.text for section in page.sections)
    prose = " ".join(re.sub(r"<!--.*?(?:-->|\Z)", " ", prose, flags=re.DOTALL).split())
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, wanted))})", re.IGNORECASE)
    first = pattern.search(prose)
    middle = first.start() if first else 0
    start = max(0, middle - EXCERPT_CHARACTERS // 3)
    piece = prose[start : start + EXCERPT_CHARACTERS]
    before = "…" if start > 0 else ""
    after = "…" if start + EXCERPT_CHARACTERS < len(prose) else ""
    return f"{before}{piece.strip()}{after}"
