"""Column types that behave the same on SQLite and PostgreSQL."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

from app.database.floats import decoded, encoded


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime. It is stored and returned in UTC, because SQLite stores no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True
    python_type = datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone; give an aware datetime.")
        return value.astimezone(timezone.utc)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            return value.replace(tzinfo=timezone.utc)
        return value.astimezone(timezone.utc)


class Document(TypeDecorator[Any]):
    """JSON that comes back equal, key order included.

    NaN and infinities are not JSON and PostgreSQL refuses them, so they are stored as
    ``{"$float": "nan"}``. The column is PostgreSQL's ``json``, not ``jsonb``, which would reorder
    keys and refuse NUL characters, and a crashed worker's output may hold some.
    """

    impl = JSON(none_as_null=True)
    cache_ok = True
    python_type = dict

    def process_bind_param(self, value: Any, dialect: Dialect) -> Any:
        return encoded(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return decoded(value)


class CleanText(TypeDecorator[str]):
    """Text for people. Characters that no database stores (NUL, half surrogates) become U+FFFD."""

    impl = Text
    cache_ok = True
    python_type = str

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        text = value.replace("\x00", "\ufffd")
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
