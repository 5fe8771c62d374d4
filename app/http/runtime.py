"""What a running service has at hand, and how routes get at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request
from starlette.types import Scope as AsgiScope

from app.database import Database
from app.jobs.live_devices import LiveDevices
from app.keys.records import Scope
from app.service.metrics import Metrics
from app.service.rate import RateLimiter
from app.service.runners import RunnerWatch
from app.settings import Settings
from app.workloads.space import Describer


@dataclass(frozen=True)
class Caller:
    """Who asks."""

    id: str
    """Of the API key; ``open`` where none is needed."""
    scope: Scope


OPEN = Caller("open", "admin")
"""Everybody, on a service without keys."""


@dataclass(frozen=True)
class Service:
    """Made once per process, shared by its threads."""

    database: Database
    settings: Settings
    needs_keys: bool
    """Whether requests must carry a key; decided when the service starts."""
    loopback_only: bool = True
    """Whether nothing but this machine reaches it."""
    runners: RunnerWatch | None = None
    """Starts a runner on this host when there is work; ``None``: nobody does."""
    describer: Describer = field(default_factory=Describer)
    """Knows the search spaces of registered workloads."""
    live: LiveDevices = field(init=False)
    """Reads the sensors of this machine."""
    limiter: RateLimiter = field(init=False)
    metrics: Metrics = field(init=False)

    def __post_init__(self) -> None:
        service = self.settings.service
        limiter = RateLimiter(service.rate_per_s, service.rate_burst)
        object.__setattr__(self, "limiter", limiter)
        object.__setattr__(self, "live", LiveDevices(self.settings.probe.lease_dir))
        object.__setattr__(self, "metrics", Metrics(self.database))

    def work_arrived(self) -> None:
        """A study was queued: see at once that somebody runs it."""
        if self.runners is not None:
            self.runners.wake()

    @property
    def is_limited(self) -> bool:
        """Whether requests are counted: not those of one's own machine to one's own machine."""
        return self.needs_keys or not self.loopback_only


async def service_of(request: Request) -> Service:
    """(A coroutine, so that it is not sent through the thread pool.)"""
    service: Service = request.app.state.service
    return service


def caller_of(scope: AsgiScope) -> Caller:
    """Set by ``app.service.gate``, which lets nobody in unasked."""
    caller: Caller = scope["tonnage.caller"]
    return caller


ServiceDep = Annotated[Service, Depends(service_of)]
