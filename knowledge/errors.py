"""What can go wrong with pages; every message is a sentence for the person who wrote the page."""

from __future__ import annotations


class KnowledgeError(Exception):
    """A page or a request for one that cannot be served; the message says what to do."""


class PageError(KnowledgeError):
    """A text that cannot be read as a page."""

    def __init__(self, message: str, *, line: int = 1) -> None:
        super().__init__(message)
        self.line = line


class UnknownPageError(KnowledgeError):
    """No page has this name, and ``nearest`` are names that resemble it, the best first; or several
    pages have it (``is_ambiguous``), which are ``nearest``."""

    def __init__(
        self, name: str, nearest: tuple[str, ...] = (), *, is_ambiguous: bool = False
    ) -> None:
        hint = f" Did you mean {' or '.join(nearest)}?" if nearest else ""
        said = f"There is no page named {name!r}.{hint}"
        if is_ambiguous:
            said = f"Several pages are named {name!r}: {', '.join(nearest)}. Give one in full."
        super().__init__(said)
        self.name = name
        self.nearest = nearest
        self.is_ambiguous = is_ambiguous
