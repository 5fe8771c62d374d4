"""What is wrong with a fleet, and what to do about it: ``tonnage fleet doctor``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import version

from app.database import Database
from app.database.url import is_sqlite
from app.fleet.nodes import NodeState, SeenNode
from app.fleet.service import Fleet, look
from probes.errors import TonnageError


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    NOTE = "note"
    """It works, but there is something to know."""
    FAIL = "fail"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    what: str
    """A few words."""
    text: str
    """What was found, and what to do."""


Reach = Callable[[], list[SeenNode]]
"""Connects to the engine and lists its nodes. Raises ``TonnageError``."""


def examine(database: Database, reach: Reach) -> list[Finding]:
    """Everything that can be looked at from this host."""
    fleet = look(database)
    return [
        _database(database, fleet),
        *_engine(fleet, reach),
        _director(fleet),
        *_nodes(fleet),
        *_versions(fleet),
    ]


def _database(database: Database, fleet: Fleet) -> Finding:
    if not is_sqlite(database.url):
        return Finding(Level.OK, "database", f"{database.shown_url}: every host can use it.")
    elsewhere = [each.node.name for each in fleet.there if each.node.state is NodeState.UNUSABLE]
    return Finding(
        Level.FAIL if elsewhere else Level.NOTE,
        "database",
        f"{database.shown_url} is a file: enough for nodes on this host. A fleet of several hosts "
        "needs PostgreSQL: --database postgresql://USER@HOST/NAME",
    )


def _engine(fleet: Fleet, reach: Reach) -> Iterator[Finding]:
    try:
        seen = reach()
    except TonnageError as error:
        yield Finding(Level.FAIL, "ray", str(error))
        return
    yield Finding(Level.OK, "ray", f"The head answers. Nodes that live: {len(seen)}.")
    known = {each.node.id for each in fleet.there}
    if missing := [node.host for node in seen if node.id not in known]:
        yield Finding(
            Level.FAIL if not fleet.is_run else Level.NOTE,
            "ray",
            f"Ray has nodes that the fleet's runner has not taken up: {', '.join(missing)}. It "
            "does so within seconds if it runs.",
        )


def _director(fleet: Fleet) -> Finding:
    if fleet.is_run:
        return Finding(Level.OK, "runner", "A process directs the fleet.")
    return Finding(
        Level.FAIL,
        "runner",
        "No process directs the fleet, so nothing is placed on it. Start one on a host that has "
        "joined: tonnage serve --fleet auto",
    )


def _nodes(fleet: Fleet) -> Iterator[Finding]:
    for view in fleet.there:
        node = view.node
        if node.state is NodeState.UNUSABLE:
            yield Finding(Level.FAIL, node.name, node.reason)
        elif node.state is NodeState.JOINING:
            why = node.reason or "It is reporting its devices; this takes a few seconds."
            yield Finding(Level.NOTE, node.name, why)
        elif node.state in (NodeState.DRAINING, NodeState.DRAINED):
            text = f"It is {node.state}. To use it again: tonnage fleet drain {node.name} --undo"
            yield Finding(Level.NOTE, node.name, text)
        else:
            names = ", ".join(f"{each.offer.device} ({each.offer.name})" for each in view.devices)
            yield Finding(Level.OK, node.name, f"{node.state}: {names}")


def _versions(fleet: Fleet) -> Iterator[Finding]:
    for view in fleet.there:
        if view.differs:
            yield Finding(
                Level.NOTE,
                view.node.name,
                f"It has {', '.join(view.differs)}. Results from there are kept apart where torch "
                "or the driver differs.",
            )
    here = version("tonnage")
    others = {str(each.node.versions.get("tonnage", here)) for each in fleet.there} - {here}
    if others:
        yield Finding(
            Level.NOTE,
            "this host",
            f"It has Tonnage {here}, and nodes have {', '.join(sorted(others))}. Install the same "
            "everywhere.",
        )


def is_well(findings: list[Finding]) -> bool:
    """Whether nothing has failed."""
    return all(each.level is not Level.FAIL for each in findings)
