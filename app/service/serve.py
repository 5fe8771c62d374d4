"""Running the service: which keys it asks for, and uvicorn under it."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from types import FrameType

import uvicorn

from app.database import Database
from app.http.runtime import Service
from app.jobs.keeper import Keeper
from app.keys import service as keys
from app.service.application import create_app
from app.service.listen import is_loopback_only
from app.service.protocol import MAX_HEAD_BYTES, Protocol
from app.service.runners import RunnerWatch
from app.settings import Settings
from probes.errors import InputError

KEEP_ALIVE_S = 15
SHUTDOWN_S = 5
"""For requests under way to end; event streams are cut then, and taken up again elsewhere."""


def service_on(
    listener: socket.socket, database: Database, settings: Settings, *, insecure: bool
) -> Service:
    """Decides whether keys are asked for: on a loopback address if there are any, on every other
    always. Raises ``InputError`` where they are and there are none."""
    loopback = is_loopback_only(listener)
    exist = keys.any_active(database)
    if not loopback and not exist and not insecure:
        host = listener.getsockname()[0]
        raise InputError(
            f"{host} can be reached from other machines, and there is no API key. Make one with: "
            "tonnage keys create --scope admin --name NAME (or serve everybody, who may then start "
            "and delete studies, with --insecure)"
        )
    runners = RunnerWatch(Keeper(database, settings)) if settings.runner.with_service else None
    return Service(
        database,
        settings,
        needs_keys=exist and not insecure,
        loopback_only=loopback,
        runners=runners,
    )


def run(service: Service, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT. Requests under way are answered first."""
    _Server(configuration(service)).run(sockets=[listener])


def configuration(service: Service) -> uvicorn.Config:
    """The application under uvicorn, with its limits."""
    settings = service.settings.service
    return uvicorn.Config(
        create_app(service),
        http=Protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        limit_concurrency=settings.max_connections,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=SHUTDOWN_S,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
    )


class _Server(uvicorn.Server):
    """Being told to stop is how a service ends well: status 0. uvicorn itself would raise the
    signal again afterwards."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        for number in before:
            signal.signal(number, self._stop)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.handle_exit(number, frame)
