"""Which scope a route needs. Who the caller is, ``app.service.gate`` has found out before."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from app.http import problem_types as types
from app.http.problems import ProblemError
from app.http.runtime import Caller, caller_of
from app.keys.records import Scope, allows


class Needs:
    """A dependency that refuses callers whose key has a smaller scope."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope

    async def __call__(self, request: Request) -> Caller:
        caller = caller_of(request.scope)
        if not allows(caller.scope, self.scope):
            raise ProblemError(
                types.SCOPE_MISSING,
                f"This needs a key with the scope {self.scope}; {caller.id} has {caller.scope}.",
            )
        return caller


Reader = Annotated[Caller, Depends(Needs("read"))]
Runner = Annotated[Caller, Depends(Needs("run"))]
Admin = Annotated[Caller, Depends(Needs("admin"))]
