"""Who sends a request, and what their key allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Scope = Literal["read", "run", "code", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""Each allows what the one before it does: ``read`` everything that is stored, ``run`` to start and
cancel jobs, ask for checks and answers and send results, ``code`` to run code of one's own
(bundles), ``admin`` to delete and to drain fleet nodes. docs/service.md has the whole list."""


def allows(held: Scope, needed: Scope) -> bool:
    return SCOPES.index(held) >= SCOPES.index(needed)


@dataclass(frozen=True)
class Caller:
    """The sender of a request."""

    id: str
    """Id of the API key; ``open`` where none is needed."""
    scope: Scope

    @property
    def may_send_code(self) -> bool:
        """Only with a key: on a service without keys, any program of any user of the machine could
        otherwise run code as the user of the service."""
        return self.id != OPEN.id and allows(self.scope, "code")


OPEN = Caller("open", "admin")
"""Everybody, on a service without keys."""
