"""``tonnage fleet``: hosts that run studies together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from app.cli import options
from app.cli.context import open_database, open_settings
from app.cli.output import print_json, stdout
from probes.errors import InputError
from probes.formatting import parse_size

app = typer.Typer(
    help="Run studies on many hosts, with Ray.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


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
            "alone, which nobody else can reach. Default: the address of the interface with "
            "the default route.",
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
            help="Labels of this node. A study can name one as its device: --labels rack=3, then "
            "--device rack=3.",
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

    from app.cli.fleet.joining import asked_node, described, run_node
    from app.fleet.running import require_engine

    require_engine()
    asked = asked_node(settings, address, head, token_file, interface, port)
    budget = parse_size(memory_budget) if memory_budget else None
    node, devices = described(settings, asked, labels, budget, dashboard, folder)
    run_node(settings, replace(node, accept_bundles=accept_bundles), devices, json_)


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
            from app.cli.fleet.report import nodes_table

            stdout().print(nodes_table(fleet.nodes))
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
        from app.cli.fleet.report import devices_table

        stdout().print(devices_table(found))
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
        from app.cli.fleet.report import finding_lines

        for line in finding_lines(findings):
            stdout().print(line)
    if not is_well(findings):
        raise typer.Exit(1)
