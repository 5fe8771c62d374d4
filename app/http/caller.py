"""Who sends a request, and what their key allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal["read", "run", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each allows what the one before it does: ``read`` everything that is stored, ``run`` to start and
cancel studies and to send measurements, ``admin`` to delete."""


def allows(held: Scope, needed: Scope) -> bool:
    return SCOPES.index(held) >= SCOPES.index(needed)


@dataclass(frozen=True)
class Caller:
    """The sender of a request."""

    id: str
    """Id of the API key; ``open`` where none is needed."""
    scope: Scope


OPEN = Caller("open", "admin")
"""Everybody, on a service without keys."""
