"""``tonnage runner``: run the studies that were requested through the service."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.context import fleet_address, open_database, open_settings
from app.cli.output import stderr
from probes.errors import InputError

if TYPE_CHECKING:
    from app.database import Database
    from app.fleet.address import FleetAddress
    from app.settings import Settings


def runner(
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="Offer only this device: cpu, cuda:0, … Repeatable. Default: all of the host."
        ),
    ] = None,
    idle_exit: Annotated[
        float | None,
        typer.Option(
            help="Exit after this many seconds without work, or at once if this host already has a "
            "runner for the database. Default: keep running.",
            min=0.0,
            metavar="SECONDS",
        ),
    ] = None,
    fleet: options.Fleet = None,
    token_file: options.TokenFile = None,
    database: options.Database = None,
) -> None:
    """Run the studies in the queue, one per device, until stopped.

    tonnage serve starts one by itself on its own host. Start more on other hosts that have
    devices, with the same database. SIGTERM and Ctrl-C put running studies back into the queue;
    if the runner is killed, another one takes them over. Nothing measured is lost.

    With --fleet it runs them on every host that has joined the fleet, from one process.

    Example: tonnage runner --device cuda:0 --database postgresql://tonnage@db.example/tonnage
    """
    settings = open_settings()
    address = fleet_address(settings, fleet, token_file)
    if address is not None and device:
        raise InputError("--device does not go with --fleet: every node offers all of its devices.")
    store = open_database(settings, database)
    if address is not None:
        _run_fleet(settings, store, address, idle_exit)
        return

    from app.jobs.detect import Detector
    from app.jobs.executor import LocalExecutor
    from app.jobs.keeper import lock_file, only_one
    from app.jobs.runner import Runner

    # A runner that offers only some devices must not keep one away that offers all of them.
    first = contextlib.nullcontext(True) if device else only_one(lock_file(settings, store))
    with first as is_first:
        if idle_exit is not None and not is_first:
            stderr().print("This host has a runner for this database already.")
            return
        executor = LocalExecutor(store, Detector(settings, device or []))
        running = Runner(store, settings.runner, executor)
        offers = running.offers
        names = ", ".join(f"{offer.device} ({offer.name})" for offer in offers.devices)
        stderr().print(
            f"Runner for {store.shown_url}\ndevices    {names}\n"
            f"workloads  {', '.join(offers.workloads)}",
            markup=False,
        )
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: running.stop())
        running.run(idle_exit)


def _run_fleet(
    settings: Settings, store: Database, address: FleetAddress, idle_exit: float | None
) -> None:
    from app.fleet.running import lock_file, open_runner
    from app.jobs.keeper import only_one

    with only_one(lock_file(settings, store)) as is_first:
        if not is_first:
            stderr().print("This host runs the fleet for this database already.")
            return
        fleet = open_runner(settings, store, address)
        stderr().print(f"Fleet      {address.address}\ndatabase   {store.shown_url}", markup=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: fleet.stop())
        parent = os.getppid()  # while the service that started it is there, it is wanted
        fleet.run(idle_exit, wanted=lambda: os.getppid() == parent)
