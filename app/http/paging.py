"""Pages of a listing, newest first. A cursor says after which item the next page begins.

It holds the last item's place in the order, not a count: what is added or removed meanwhile shifts
nothing, and the millionth page costs what the first one does. Clients hand it back as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Item = TypeVar("Item")
Row = TypeVar("Row")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_NEXT = "`next_cursor` of the page before, as it is; left out for the first page."


class Page(BaseModel, Generic[Item]):
    """A part of a listing."""

    items: list[Item] = Field(description="Newest first.")
    next_cursor: str | None = Field(
        description="Give it as `cursor` for the next page; null on the last one.",
        examples=["3k"],
    )


class PageQuery(BaseModel):
    """What every listing takes. A name that is not known is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Items per page.")] = DEFAULT_LIMIT


class NumberedPageQuery(PageQuery):
    """Of a listing that is in the order of its rows."""

    cursor: Annotated[str | None, Field(pattern="^[0-9a-v]{1,12}$", description=_NEXT)] = None

    @property
    def before(self) -> int | None:
        return None if self.cursor is None else int(self.cursor, 32)


class NamedPageQuery(PageQuery):
    """Of a listing that is in the order of its ids, which begin with the time."""

    cursor: Annotated[str | None, Field(pattern="^[0-9A-Za-z_]{1,40}$", description=_NEXT)] = None

    @property
    def before(self) -> str | None:
        return self.cursor


def page_of(
    rows: Sequence[Row],
    limit: int,
    position: Callable[[Row], str | int],
    item: Callable[[Row], Item],
) -> Page[Item]:
    """``rows`` are up to ``limit + 1``: the one too many says that there is a next page."""
    shown = rows[:limit]
    following = _cursor(position(shown[-1])) if len(rows) > limit else None
    return Page(items=[item(row) for row in shown], next_cursor=following)


def _cursor(position: str | int) -> str:
    if isinstance(position, str):
        return position
    text = ""
    while position:
        position, digit = divmod(position, 32)
        text = _DIGITS[digit] + text
    return text or "0"
