"""``tonnage fleet``: hosts that run studies together."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import options
from app.cli.context import open_database, open_settings
from app.cli.output import facts_table, print_json, stderr, stdout
from probes.errors import InputError, MeasurementError
from probes.formatting import parse_size, size_text

if TYPE_CHECKING:
    from app.fleet.joining import NodeOptions
    from app.fleet.service import NodeView
    from app.settings import Settings

app = typer.Typer(
    help="Run studies on many hosts, with Ray.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

LOUD = {"fail": "bold red", "note": "yellow", "ok": "green"}


@app.command("join")
def join(
    address: Annotated[
        str | None,
        typer.Argument(
            help="The fleet's head, such as 10.0.0.5:6379. Omit it with --head.",
            show_default=False,
        ),
    ] = None,
    head: Annotated[
        bool, typer.Option("--head", help="Begin a fleet: this host becomes its head.")
    ] = False,
    token_file: options.TokenFile = None,
    interface: Annotated[
        str,
        typer.Option(
            "--interface",
            "--bind",
            help="The address of this host that the others reach. 127.0.0.1: a fleet of this host "
            "alone, which nobody else can reach. Default: the one that leads to the network.",
            metavar="IP",
        ),
    ] = "",
    port: Annotated[
        int | None,
        typer.Option(help="With --head: the port. Default: 6379.", min=1024, max=65_535),
    ] = None,
    labels: Annotated[
        str,
        typer.Option(
            help="Labels of this node, which a study can ask for as its device: --labels rack=3, "
            "then --device rack=3.",
            metavar="NAME=VALUE,…",
        ),
    ] = "",
    memory_budget: options.MemoryBudget = None,
    accept_bundles: Annotated[
        bool,
        typer.Option(
            "--accept-bundles",
            help="Run code that users send with tonnage tune FILE:CLASS --fleet, as the user who "
            "runs this command. The same as accept = true in [bundles] of tonnage.toml.",
        ),
    ] = False,
    dashboard: Annotated[
        bool,
        typer.Option(
            "--ray-dashboard",
            help="With --head: start Ray's own dashboard too, on this host's loopback address.",
        ),
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--ray-folder",
            help="Where Ray keeps its sockets and logs: a short path. Default: /tmp/ray.",
            metavar="FOLDER",
        ),
    ] = None,
    json_: options.Json = False,
) -> None:
    """Make this host a node of a fleet until Ctrl-C or SIGTERM.

    Detects the devices and starts Ray with their labels and with the settings that measuring needs.
    The first host begins the fleet with --head, which makes a token: copy its file to the other
    hosts, because anyone who has it can run programs on every node.

    Example: tonnage fleet join 10.0.0.5:6379 --token-file fleet.token
    """
    settings = open_settings()

    from app.fleet.address import joined
    from app.fleet.joining import Node
    from app.fleet.on_ray.connection import environment
    from app.fleet.running import require_engine

    require_engine()
    asked = _asked(settings, address, head, token_file, interface, port)
    budget = parse_size(memory_budget) if memory_budget else None
    node, devices = _described(settings, asked, labels, budget, dashboard, folder)
    node = replace(node, accept_bundles=accept_bundles)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    engine = environment(asked.fleet.token_file, asked.interface or asked.fleet.address)
    with Node(node, engine) as running:
        running.wait_until_started(stop.is_set)
        if not stop.is_set():
            _tell(node, devices, json_)
        with joined(settings, asked.fleet):
            while not stop.is_set() and running.is_running:
                running.listen()
        if not stop.is_set():
            raise MeasurementError(
                f"The node has ended by itself: the head may be gone. {running.complaint()}"
            )
    stderr().print("The node has left the fleet.")


def _asked(
    settings: Settings,
    address: str | None,
    head: bool,
    token_file: Path | None,
    interface: str,
    port: int | None,
) -> NodeOptions:
    """Where to join. Raises ``InputError``."""
    from app.fleet.address import (
        PORT,
        FleetAddress,
        default_token_file,
        find,
        make_token,
        own_address,
    )
    from app.fleet.joining import NodeOptions
    from app.fleet.on_ray.connection import is_loopback

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
    token = token_file or default_token_file(settings)
    make_token(token)
    own = interface or own_address()
    return NodeOptions(FleetAddress(f"{own}:{port or PORT}", token.absolute()), True, own, {})


def _described(
    settings: Settings,
    asked: NodeOptions,
    labels: str,
    budget: int | None,
    dashboard: bool,
    folder: Path | None,
) -> tuple[NodeOptions, list[dict[str, Any]]]:
    """The node with the labels of its devices, and these."""
    from dataclasses import replace

    from app.fleet.joining import labels_of, parse_labels
    from app.machine.budgets import check_budget
    from app.machine.local_facts import devices_here, timeouts

    own = parse_labels(labels)
    devices = devices_here(None, timeouts(settings))["devices"]
    if budget is not None:
        check_budget(budget, devices[0]["device"], devices[0]["total_bytes"])
    described = replace(
        asked,
        labels={**labels_of(devices, budget), **own},
        memory_budget_bytes=budget,
        folder=folder,
        dashboard=dashboard,
    )
    return described, devices


def _tell(node: NodeOptions, devices: list[dict[str, Any]], json_: bool) -> None:
    """What this node offers, and what to do next."""
    address, token = node.fleet.address, node.fleet.token_file
    then = f"tonnage fleet join {address} --token-file {token.name if token else 'FILE'}"
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
                "next": [then, "tonnage serve --fleet auto"],
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
        ("labels", ", ".join(f"{name}={value}" for name, value in node.labels.items())),
    ]
    if node.is_head:
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


@app.command("status")
def status(database: options.Database = None, json_: options.Json = False) -> None:
    """Show the nodes, what runs on them, and what differs between them.

    Read from the database, so it works on every host that can reach that. Exit status 1 if there is
    no fleet, or no process directs it.
    """
    from app.fleet.schemas import FleetOut
    from app.fleet.service import look

    fleet = look(open_database(open_settings(), database))
    if json_:
        print_json(FleetOut.of(fleet).model_dump(mode="json"))
    else:
        if fleet.nodes:
            stdout().print(_table(fleet.nodes))
            stdout().print(f"waiting jobs: {fleet.waiting}")
        if fleet.advice:
            stdout().print(fleet.advice, markup=False)
    if fleet.advice:
        raise typer.Exit(1)


@app.command("devices")
def devices(database: options.Database = None, json_: options.Json = False) -> None:
    """Show every device of the fleet, and the job that has it.

    Exit status 1 if there is none.
    """
    from rich.table import Table
    from rich.text import Text

    from app.fleet.schemas import FleetDeviceOut
    from app.fleet.service import look

    fleet = look(open_database(open_settings(), database))
    found = [(view.node, device) for view in fleet.there for device in view.devices]
    if json_:
        print_json(
            {
                "devices": [
                    {"node": node.name, **FleetDeviceOut.of(device).model_dump(mode="json")}
                    for node, device in found
                ]
            }
        )
    elif found:
        table = Table("node", "device", "name", "memory", "class", "job", box=None)
        for node, device in found:
            offer, job = device.offer, device.job
            cells = (
                node.name,
                offer.device,
                offer.name,
                size_text(offer.total_bytes),
                offer.class_key,
                f"{job.id} ({job.workload})" if job else "free",
            )
            table.add_row(*map(Text, cells))
        stdout().print(table)
    else:
        stdout().print(fleet.advice or "No node offers a device. See: tonnage fleet doctor")
    if not found:
        raise typer.Exit(1)


@app.command("drain")
def drain(
    node: Annotated[str, typer.Argument(help="The node's name, or the beginning of its id.")],
    now: Annotated[
        bool,
        typer.Option(
            "--now",
            help="Also return what runs there to the queue; another node continues it at once.",
        ),
    ] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Let the node take work again.")] = False,
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Let a node take no new work, and finish what it has.

    Do it before you take a host away. tonnage fleet status says when the node is drained.
    """
    from app.fleet import service
    from app.fleet.nodes import Drain

    if now and undo:
        raise InputError("--now does not go with --undo.")
    how = Drain.NO if undo else Drain.NOW if now else Drain.FINISH
    found = service.drain(open_database(open_settings(), database), node, how)
    if json_:
        print_json({"id": found.id, "name": found.name, "state": found.state, "drain": found.drain})
        return
    said = {
        Drain.NO: "takes work again.",
        Drain.FINISH: "takes no new work and finishes what it has.",
        Drain.NOW: "takes no new work, and what runs there goes back to the queue.",
    }
    stdout().print(f"Node {found.name} {said[how]}", markup=False)


@app.command("doctor")
def doctor(
    fleet: options.Fleet = "auto",
    token_file: options.TokenFile = None,
    database: options.Database = None,
    json_: options.Json = False,
) -> None:
    """Check the fleet: the database, Ray, every node, and versions that differ.

    Run it on a host that has joined. Exit status 1 if something keeps the fleet from working.
    """
    settings = open_settings()

    from app.fleet.address import find
    from app.fleet.doctor import examine, is_well
    from app.fleet.running import reach, require_engine

    store = open_database(settings, database)

    def nodes() -> list[Any]:
        require_engine()
        return reach(find(settings, fleet or "auto", token_file))

    findings = examine(store, nodes)
    if json_:
        print_json(
            {
                "ok": is_well(findings),
                "findings": [
                    {"level": each.level, "what": each.what, "text": each.text} for each in findings
                ],
            }
        )
    else:
        from rich.text import Text

        for each in findings:
            line = Text.assemble(
                (f"{each.level:4} ", LOUD[each.level]), f"{each.what}: {each.text}"
            )
            stdout().print(line)
    if not is_well(findings):
        raise typer.Exit(1)


def _table(nodes: Any) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table("node", "state", "devices", "running", "labels", "note", box=None)
    for view in nodes:
        node = view.node
        labels = ", ".join(
            f"{name.removeprefix('tonnage/')}={value}"
            for name, value in node.labels.items()
            if not name.startswith("ray.io/")
        )
        table.add_row(
            node.name,
            str(node.state),
            Text(", ".join(each.offer.device for each in view.devices) or "–"),
            Text(", ".join(job.id for job in view.running) or "–"),
            Text(labels),
            Text(_note(view)),
        )
    return table


def _note(view: NodeView) -> str:
    return "; ".join([*([view.node.reason] if view.node.reason else []), *view.differs])
