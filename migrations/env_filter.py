"""Which names in a database are ours."""

from __future__ import annotations

from typing import Any

from app.database.models import PREFIX


def ours(name: str | None, kind: str, parents: Any) -> bool:
    """Optuna's tables, and whatever else lives beside ours, are none of Alembic's business."""
    return kind != "table" or (name or "").startswith(PREFIX)
