"""An API key, as it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.http.caller import Scope


@dataclass(frozen=True)
class ApiKey:
    """Everything about a key except its text."""

    id: str
    name: str
    scope: Scope
    created_at: datetime
    revoked_at: datetime | None
