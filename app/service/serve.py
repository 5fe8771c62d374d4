"""Running the service: which keys it asks for, and uvicorn under it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.database import Database
from app.fleet.address import FleetAddress
from app.fleet.running import lock_file
from app.http.runtime import Service
from app.jobs import repository, runner_repository
from app.jobs.keeper import Keeper, RunnerWatch, runner_command
from app.keys import service as keys
from app.service.application import create_app
from app.service.listen import is_loopback_only
from app.settings import Settings
from app.studies.progress import progress
from app.tuning.owner import Owner, this_place
from probes.errors import InputError
from probes.formatting import duration_text

HEAD_TIMEOUT_S = 10.0
"""Seconds until the request line and headers must be complete. uvicorn itself sets no limit, so a
few hundred silent connections would be enough to block all other clients."""

MAX_HEAD_BYTES = 32 * 2**10
KEEP_ALIVE_S = 15
SHUTDOWN_S = 5
"""Seconds for requests in progress to end. Event streams are cut then; clients resume them."""


def service_on(
    listener: socket.socket,
    database: Database,
    settings: Settings,
    *,
    insecure: bool,
    fleet: FleetAddress | None = None,
) -> Service:
    """With a ``fleet``, its runner is kept running on this host, instead of a runner of this host.

    Decides whether requests need a key: on a loopback address if any key exists, on every other
    address always. Raises ``InputError`` if they need one and none exists."""
    loopback = is_loopback_only(listener)
    exist = keys.any_active(database)
    if not loopback and not exist and not insecure:
        host = listener.getsockname()[0]
        raise InputError(
            f"Other machines can reach {host}, and no API key exists. Create one with: "
            "tonnage keys create --scope admin --name NAME. To serve without keys, add --insecure: "
            "anyone who can reach the address can then start and delete studies."
        )
    runners = RunnerWatch(_keeper(database, settings, fleet))
    return Service(
        database,
        settings,
        needs_keys=exist and not insecure,
        loopback_only=loopback,
        runners=runners if settings.runner.with_service else None,
    )


def _keeper(database: Database, settings: Settings, fleet: FleetAddress | None) -> Keeper:
    if fleet is None:
        return Keeper(database, settings)
    command = runner_command(settings, *fleet.arguments)
    standing = lock_file(settings, database)
    return Keeper(database, settings, command=command, standing=standing)


def run(service: Service, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT. Requests under way are answered first."""
    _Server(service).run(sockets=[listener])


def left_running(database: Database, settings: Settings) -> list[str]:
    """What continues on this host after the service has ended: each runner with its studies, until
    when, and how to stop it. Empty without a runner."""
    place = this_place()
    found: dict[Owner, list[str]] = {}
    fleets: set[Owner] = set()
    with database.read() as session:
        for each in runner_repository.listing(session):
            held = each.held_by
            owner, where = (held.owner, held.place) if held else (each.owner, each.place)
            if where == place and owner.is_alive():
                studies = [job.id for job in repository.running_of(session, each.id, lock=False)]
                found.setdefault(owner, []).extend(studies)
                fleets |= {owner} if held else set()
    return [
        _goes_on(database, settings, owner, studies, is_fleet=owner in fleets)
        for owner, studies in found.items()
    ]


def _goes_on(
    database: Database, settings: Settings, owner: Owner, studies: list[str], *, is_fleet: bool
) -> str:
    whose = "of the fleet" if is_fleet else "on this host"
    who = f"The runner {whose} (process {owner.pid})"
    idle = duration_text(settings.runner.idle_exit_s)
    stop = f"To stop it now: kill -TERM {owner.pid}"
    if not studies:
        return (
            f"{who} is still there, without work. If the service started it, it ends after {idle} "
            f"without work. {stop}"
        )
    running = []
    for study_id in studies:
        found = progress(database, study_id)
        left = "" if found.left_s is None else f", at most about {duration_text(found.left_s)} left"
        device = found.view.device or "its device"
        running.append(f"{study_id} ({found.view.workload}, {found.view.budget}) on {device}{left}")
    return (
        f"{who} continues with {'; '.join(running)}. It holds the device until then and, if the "
        f"service started it, ends after {idle} without work. {stop} (the study returns to the "
        "queue, and the next runner resumes it)"
    )


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


class Protocol(H11Protocol):
    """Closes a connection whose request line and headers are not there in time."""

    _head_timer: asyncio.TimerHandle | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        # Its lines would have the query, and people put secrets there.
        self.access_log = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._start_head_timer()
        else:
            self._stop_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_head_timer()
        super().connection_lost(exc)

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self._give_up)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    """Being told to stop is how a service ends well: status 0. uvicorn itself would raise the
    signal again afterwards."""

    def __init__(self, service: Service) -> None:
        super().__init__(configuration(service))
        self._service = service

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
        self._service.ending.set()
        self.handle_exit(number, frame)
