"""Pages of a listing, newest first. A cursor names the item after which the next page begins.

It is the place of the last item in the order and not a count, so items that are added or removed in
the meantime shift nothing, and the millionth page costs as much as the first. Clients send it back
unchanged.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from app.ids import form_of

if TYPE_CHECKING:
    from app.database import Database

Item = TypeVar("Item")

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_NEXT = "The `next_cursor` of the previous page, unchanged; leave it out for the first page."


class Identified(Protocol):
    """A record that a listing can be paged by."""

    @property
    def id(self) -> str | int: ...


Record = TypeVar("Record", bound=Identified)


class Page(BaseModel, Generic[Item]):
    """A part of a listing."""

    items: list[Item] = Field(description="Newest first.")
    next_cursor: str | None = Field(
        description="Send it as `cursor` to get the next page; null on the last page.",
        examples=["3k"],
    )


class PageQuery(BaseModel):
    """Parameters that every listing has; each adds its filters. Unknown names are refused."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Items per page.")] = DEFAULT_LIMIT

    @property
    @abstractmethod
    def before(self) -> str | int | None:
        """Id of the last item on the previous page."""

    def wanted(self) -> dict[str, Any]:
        """Arguments for the ``page`` of a repository: the filters, where to start, and one row more
        than the page shows."""
        filters = self.model_dump(exclude={"limit", "cursor"})
        return {**filters, "before": self.before, "limit": self.limit + 1}


class NumberedPageQuery(PageQuery):
    """For a listing with numeric ids."""

    cursor: Annotated[str | None, Field(pattern="^[0-9a-v]{1,12}$", description=_NEXT)] = None

    @property
    def before(self) -> int | None:
        return None if self.cursor is None else int(self.cursor, 32)


class NamedPageQuery(PageQuery):
    """For a listing whose ids are text that begins with the time. Each declares its ``cursor`` with
    ``cursor_among``: text that is no id of the listing would be some place in the order too, and
    the page after it a wrong answer."""

    cursor: str | None = None

    @property
    def before(self) -> str | None:
        return self.cursor


def cursor_among(prefix: str) -> Any:
    """The cursor of a listing whose ids begin with ``prefix``."""
    return Field(None, pattern=form_of(prefix), description=_NEXT)


def page_of(rows: Sequence[Record], query: PageQuery, item: Callable[[Record], Item]) -> Page[Item]:
    """``rows`` is what ``query.wanted()`` selected. Its extra row proves a next page."""
    shown = rows[: query.limit]
    following = _cursor(shown[-1].id) if len(rows) > query.limit else None
    return Page(items=[item(row) for row in shown], next_cursor=following)


def listed(
    database: Database,
    page: Callable[..., Sequence[Record]],
    query: PageQuery,
    item: Callable[[Record], Item],
) -> Page[Item]:
    """The answer of a route that lists records; ``page`` is that of their repository."""
    with database.read() as session:
        return page_of(page(session, **query.wanted()), query, item)


def _cursor(position: str | int) -> str:
    if isinstance(position, str):
        return position
    text = ""
    while position:
        position, digit = divmod(position, 32)
        text = _DIGITS[digit] + text
    return text or "0"
