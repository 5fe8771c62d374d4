"""Which names in a database are ours."""

from __future__ import annotations

from typing import Any

from app.database.models.base import PREFIX


def ours(name: str | None, kind: str, parents: Any) -> bool:
    """Alembic leaves other programs' tables in the same database alone."""
    return kind != "table" or (name or "").startswith(PREFIX)
