"""What a key is, and what it allows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

Scope = Literal["read", "run", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each allows what the one before it does: ``read`` everything that is stored, ``run`` to start and
cancel studies and to send measurements, ``admin`` to delete."""


def allows(held: Scope, needed: Scope) -> bool:
    return SCOPES.index(held) >= SCOPES.index(needed)


@dataclass(frozen=True)
class ApiKey:
    """A key as it is stored: everything but the key."""

    id: str
    name: str
    scope: Scope
    created_at: datetime
    revoked_at: datetime | None
