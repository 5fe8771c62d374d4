"""What a running service consists of, and how routes get at it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol, TypeVar

from fastapi import Depends, Request

from app.database import Database
from app.settings import Settings

Part = TypeVar("Part")


class Background(Protocol):
    """Work that goes on beside the requests, from the start of the service to its end."""

    def start(self) -> None: ...

    def wake(self) -> None:
        """There is something to do: look at once."""

    def stop(self) -> None: ...


@dataclass(frozen=True)
class Service:
    """Made once per process, shared by its threads."""

    database: Database
    settings: Settings
    needs_keys: bool
    """Whether requests must carry a key; decided when the service starts."""
    loopback_only: bool = True
    """Whether the service can be reached from this machine only."""
    runners: Background | None = None
    """Starts a runner on this host when there is work; ``None``: runners are started by hand."""
    ending: threading.Event = field(default_factory=threading.Event)
    """Set once it was told to stop: event streams end then, and clients resume them elsewhere."""
    parts: dict[type, Any] = field(default_factory=dict)
    """See ``part``."""

    def part(self, kind: type[Part], make: Callable[[], Part]) -> Part:
        """The service's one object of this kind, made when it is first needed: something that a
        resource remembers from request to request, and that this module need not know."""
        if kind not in self.parts:
            self.parts.setdefault(kind, make())
        found: Part = self.parts[kind]
        return found

    def work_arrived(self) -> None:
        """A study was queued: make sure at once that a runner takes it."""
        if self.runners is not None:
            self.runners.wake()

    @property
    def is_limited(self) -> bool:
        """Whether the rate of requests is limited. A service without keys that only its own machine
        can reach is not."""
        return self.needs_keys or not self.loopback_only


async def service_of(request: Request) -> Service:
    """(A coroutine, so that FastAPI does not send it through the thread pool.)"""
    service: Service = request.app.state.service
    return service


ServiceDep = Annotated[Service, Depends(service_of)]
