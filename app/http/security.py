"""Which scope a route needs. ``app.service.gate`` has identified the caller before."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from starlette.types import Scope as AsgiScope

from app.http import problem_types as types
from app.http.caller import OPEN, Caller, Scope, allows
from app.http.problems import HttpProblem

CALLER = "tonnage.caller"
"""Where the caller is kept in the ASGI scope of a request."""


class Needs:
    """A dependency that refuses callers whose key has a smaller scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Caller:
        caller = caller_of(request.scope)
        if not allows(caller.scope, self.scope):
            raise HttpProblem(
                types.SCOPE_MISSING,
                f"This needs a key with the scope {self.scope}; {caller.id} has {caller.scope}.",
            )
        return caller


async def _code_sender(request: Request) -> Caller:
    caller = caller_of(request.scope)
    require_code(caller)
    return caller


def require_code(caller: Caller) -> None:
    """Raises ``HttpProblem`` for a caller who may not run code of their own."""
    if not caller.may_send_code:
        has = "has no key" if caller.id == OPEN.id else f"{caller.id} has {caller.scope}"
        raise HttpProblem(
            types.SCOPE_MISSING,
            f"Sending code needs a key with the scope code; the caller {has}. Make one on the "
            "service's host: tonnage keys create --scope code",
        )


def caller_of(scope: AsgiScope) -> Caller:
    """The sender of a request that ``app.service.gate`` has let in."""
    caller: Caller = scope[CALLER]
    return caller


Reader = Annotated[Caller, Depends(Needs("read"))]
Runner = Annotated[Caller, Depends(Needs("run"))]
CodeSender = Annotated[Caller, Depends(_code_sender)]
Admin = Annotated[Caller, Depends(Needs("admin"))]
