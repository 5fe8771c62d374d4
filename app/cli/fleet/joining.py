"""``tonnage fleet join``: where to join, what the node offers, and being one until told to stop."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from app.cli.output import facts_table, print_json, stderr, stdout
from app.database import open_database
from app.fleet.address import (
    PORT,
    FleetAddress,
    default_token_file,
    find,
    joined,
    make_token,
    own_address,
)
from app.fleet.joining import WORKER_PORTS, Node, NodeOptions, labels_of, parse_labels
from app.fleet.leaving import leave
from app.fleet.on_ray.connection import environment, is_loopback
from app.machine.budgets import check_budget
from app.machine.local_facts import devices_here, timeouts
from app.settings import Settings
from probes.errors import InputError, MeasurementError, TonnageError
from probes.formatting import size_text

log = logging.getLogger(__name__)


def asked_node(
    settings: Settings,
    address: str | None,
    head: bool,
    token_file: Path | None,
    interface: str,
    port: int | None,
) -> NodeOptions:
    """Where to join. Raises ``InputError``."""
    if head == (address is not None):
        raise InputError(
            "Give the address of the fleet's head, or --head to begin a fleet on this host."
        )
    if not head:
        assert address is not None
        if port is not None:
            raise InputError("--port is for --head: give the port as a part of the address.")
        fleet = find(settings, address, token_file)
        if fleet.token_file is None:
            raise InputError(
                "This host has no token of the fleet. Copy the file that tonnage fleet join --head "
                "has named, and give it with --token-file."
            )
        if is_loopback(fleet.address):
            raise InputError(
                f"The fleet at {fleet.address} is the host that began it, alone. To let others "
                "join, begin it with another --interface."
            )
        return NodeOptions(fleet, False, interface, {})
    if port in WORKER_PORTS:
        raise InputError(
            f"--port {port}: Ray gives the ports {WORKER_PORTS[0]} to {WORKER_PORTS[-1]} to its "
            "workers. Choose another port, such as 6379 or 26379."
        )
    token = token_file or default_token_file(settings)
    make_token(token)
    own = interface or own_address()
    return NodeOptions(FleetAddress(f"{own}:{port or PORT}", token.absolute()), True, own, {})


def described(
    settings: Settings,
    asked: NodeOptions,
    labels: str,
    budget: int | None,
    dashboard: bool,
    folder: Path | None,
) -> tuple[NodeOptions, list[dict[str, Any]]]:
    """The node with the labels of its devices, and these."""
    own = parse_labels(labels)
    devices = devices_here(None, timeouts(settings))["devices"]
    if budget is not None:
        check_budget(budget, devices[0]["device"], devices[0]["total_bytes"])
    node = replace(
        asked,
        labels={**labels_of(devices, budget), **own},
        memory_budget_bytes=budget,
        folder=folder,
        dashboard=dashboard,
    )
    return node, devices


def run_node(
    settings: Settings, node: NodeOptions, devices: list[dict[str, Any]], json_: bool
) -> None:
    """Be a node of the fleet until SIGINT, SIGTERM or SIGHUP. Raises ``MeasurementError`` when the
    node ends by itself."""
    stop, hurry = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: (hurry if stop.is_set() else stop).set())
    engine = environment(node.fleet.token_file, node.interface or node.fleet.address)
    with Node(node, engine) as running:
        running.wait_until_started(stop.is_set)
        if not stop.is_set():
            _tell(node, devices, json_)
        with joined(settings, node.fleet):
            while not stop.is_set() and running.is_running:
                running.listen()
        if not stop.is_set():
            raise MeasurementError(
                f"The node has ended by itself: the head may be gone. {running.complaint()}"
            )
        _give_back(settings, running.address, hurry)
    stderr().print("The node has left the fleet.")


def _give_back(settings: Settings, address: str, hurry: threading.Event) -> None:
    """Let what runs here go back to the queue, in a thread: a database that does not answer must
    not keep a second signal from being heard."""
    stderr().print("Leaving the fleet. To leave at once, press Ctrl-C again.")
    work = threading.Thread(
        target=_drain, args=(settings, address, hurry), name="leaving", daemon=True
    )
    work.start()
    while work.is_alive() and not hurry.is_set():
        work.join(0.2)


def _drain(settings: Settings, address: str, hurry: threading.Event) -> None:
    """Without the database, the fleet's runner will notice that the node is gone."""
    try:
        with contextlib.closing(open_database(settings.database_url, migrate=False)) as database:
            leave(database, settings.runner, socket.gethostname(), address, hurry=hurry.is_set)
    except TonnageError as error:
        log.debug("The node was not drained: %s", error)


def _tell(node: NodeOptions, devices: list[dict[str, Any]], json_: bool) -> None:
    """What this node offers, and what to do next."""
    address, token = node.fleet.address, node.fleet.token_file
    then = f"tonnage fleet join {address} --token-file {token.name if token else 'FILE'}"
    is_alone = is_loopback(address)
    following = [*([] if is_alone else [then]), "tonnage serve --fleet auto"]
    if json_:
        print_json(
            {
                "address": address,
                "head": node.is_head,
                "token_file": str(token) if token else None,
                "devices": [
                    {key: each[key] for key in ("device", "kind", "name", "total_bytes")}
                    for each in devices
                ],
                "labels": dict(node.labels),
                "memory_budget_bytes": node.memory_budget_bytes,
                "next": following,
            }
        )
        return
    offered = [
        f"{each['device']} ({each['name']}, "
        f"{size_text(node.memory_budget_bytes or each['total_bytes'])})"
        for each in devices
    ]
    rows = [
        ("fleet", address),
        ("devices", ", ".join(offered)),
        ("labels", ", ".join(f"{name}={value}" for name, value in sorted(node.labels.items()))),
    ]
    if node.is_head:
        if is_alone:
            rows += [("token", f"{token} (keep it secret)"), ("next", "tonnage serve --fleet auto")]
        else:
            rows += [
                ("token", f"{token} (copy it to the other hosts; keep it secret)"),
                ("next", f"on each other host: {then}"),
                ("", "here: tonnage serve --fleet auto"),
            ]
    else:
        rows += [("next", "tonnage fleet status")]
    stdout().print(facts_table([*rows, ("stop", "Ctrl-C")]))
    if not node.interface.startswith("127."):
        stderr().print(
            "Ray listens on every network interface of this host, not only on the one that it "
            "tells the others. Let a firewall keep out everybody but the hosts of the fleet.",
            markup=False,
        )
