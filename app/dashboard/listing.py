"""Lists of stored things: their filters, and one page of them with links to its neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import urlencode

from app.dashboard.filters import words

PER_PAGE = 50


class Stored(Protocol):
    """Anything with an id that orders it."""

    @property
    def id(self) -> Any: ...


T = TypeVar("T", bound=Stored)


class FilterField(NamedTuple):
    """A field of the form above a list."""

    name: str
    label: str
    chosen: str
    options: list[tuple[str, str]] | None = None
    """What a form sends and what it shows; ``None`` for a field to type in."""


def options(values: Sequence[str], *, as_words: bool = False) -> list[tuple[str, str]]:
    """Options for ``FilterField``; ``as_words`` shows ``does_not_fit`` as ``does not fit``."""
    return [(value, words(value) if as_words else value) for value in values]


def given(**filters: str) -> dict[str, str]:
    """The filters that were set: a form sends the others as empty text."""
    return {name: value for name, value in filters.items() if value}


@dataclass(frozen=True)
class Listing(Generic[T]):
    """One page of a list, newest first."""

    shown: list[T]
    is_filtered: bool
    older: str
    """Address of the next page; empty if there is none."""
    newest: str
    """Address of the first page; empty if this is the first."""

    @classmethod
    def of(
        cls,
        address: str,
        found: Sequence[T],
        filters: Mapping[str, str],
        before: object | None,
        per_page: int = PER_PAGE,
    ) -> Listing[T]:
        """``found`` holds one row more than a page if there are older ones."""
        shown = list(found[:per_page])
        is_more = len(found) > per_page
        return cls(
            shown=shown,
            is_filtered=bool(filters),
            older=_link(address, {**filters, "before": shown[-1].id}) if is_more else "",
            newest=_link(address, filters) if before else "",
        )


def _link(address: str, query: Mapping[str, Any]) -> str:
    return f"{address}?{urlencode(query)}" if query else address
