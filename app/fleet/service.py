"""What is known of the fleet: nodes, their devices, what runs there, and what differs between them.

It is read from the database: this works while the engine is down, and without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.clock import utc_now
from app.database import Database
from app.errors import NotFound
from app.fleet import repository as nodes
from app.fleet.nodes import Drain, FleetNode
from app.jobs import repository as jobs
from app.jobs import runner_repository
from app.jobs.offers import DeviceOffer
from app.jobs.records import Job
from probes.errors import InputError

SILENT = timedelta(seconds=30)
"""Without a sign of life for this long, the fleet's runner counts as stopped."""
COMPARED = ("tonnage", "python", "ray", "torch", "driver")
NO_FLEET = (
    "There is no fleet. Install the extra (pip install 'tonnage[ray]'), run tonnage fleet join "
    "--head on one host and the command that it prints on the others, then start the service with: "
    "tonnage serve --fleet auto"
)


@dataclass(frozen=True)
class FleetDevice:
    """A device of a node, and the job that has it."""

    offer: DeviceOffer
    job: Job | None


@dataclass(frozen=True)
class NodeView:
    """A node with everything on it."""

    node: FleetNode
    devices: Sequence[FleetDevice] = field(default_factory=tuple)
    differs: Sequence[str] = field(default_factory=tuple)
    """Versions that most nodes have otherwise."""
    accepts_bundles: bool = False
    """Whether it runs code that users send."""

    @property
    def running(self) -> list[Job]:
        return list({each.job.id: each.job for each in self.devices if each.job}.values())


@dataclass(frozen=True)
class Fleet:
    """All nodes, at one moment."""

    nodes: Sequence[NodeView]
    seen_at: datetime | None
    """The last sign of life of the fleet's runner, by its own clock; ``None`` if there never was
    one."""
    waiting: int
    """Jobs that wait for a device."""

    @property
    def there(self) -> list[NodeView]:
        return [each for each in self.nodes if each.node.state.is_there]

    @property
    def is_run(self) -> bool:
        """Whether a runner directs it."""
        return self.seen_at is not None and utc_now() - self.seen_at < SILENT

    @property
    def advice(self) -> str:
        """What to do; empty where all is well."""
        if not self.nodes:
            return NO_FLEET
        if not self.is_run:
            return (
                "No process directs the fleet: this is what was last known of it. Start one with: "
                "tonnage serve --fleet auto"
            )
        if not self.there:
            return "Every node has gone. Run on each host: tonnage fleet join ADDRESS"
        return ""


def look(database: Database) -> Fleet:
    """The fleet as the database has it."""
    with database.read() as session:
        stored = nodes.listing(session)
        runners = {runner.id: runner for runner in runner_repository.listing(session)}
        leases = {offer.lease for each in runners.values() for offer in each.offers.devices}
        held = jobs.by_lease(session, leases)
        running = jobs.by_ids(session, set(held.values()))
        waiting = jobs.how_many_wait(session)
    usual = usual_versions(each for each in stored if each.state.is_there)
    views = []
    for node in stored:
        runner = runners.get(node.runner_id or "")
        found, accepts = [], False
        if runner is not None:
            accepts = runner.offers.bundles is not None
            found = [
                FleetDevice(offer, _job_on(offer, held, running, runner.id))
                for offer in runner.offers.devices
            ]
        views.append(NodeView(node, found, differences(node, usual), accepts))
    seen_at = max((node.seen_at for node in stored), default=None)
    return Fleet(views, seen_at, waiting)


def _job_on(
    offer: DeviceOffer, held: dict[str, str], running: dict[str, Job], runner_id: str
) -> Job | None:
    """The job that this node runs there: another one may offer the same device."""
    job = running.get(held.get(offer.lease, ""))
    return job if job is not None and job.runner_id == runner_id else None


def usual_versions(stored: Iterable[FleetNode]) -> dict[str, str]:
    """Of each program, the version that most nodes have."""
    counted: dict[str, Counter[str]] = {name: Counter() for name in COMPARED}
    for node in stored:
        for name in COMPARED:
            if name in node.versions:
                counted[name][str(node.versions[name])] += 1
    return {name: counts.most_common(1)[0][0] for name, counts in counted.items() if counts}


def differences(node: FleetNode, usual: dict[str, str]) -> list[str]:
    """``torch 2.12.0 (most have 2.13.0)``, for each program that differs."""
    if not node.state.is_there:
        return []
    return [
        f"{name} {node.versions[name]} (most nodes have {usual[name]})"
        for name in COMPARED
        if name in node.versions and str(node.versions[name]) != usual[name]
    ]


def find(fleet: Sequence[FleetNode], asked: str) -> FleetNode:
    """The node of this name, or whose id begins so. Raises ``NotFound``, and ``InputError`` where
    several are meant."""
    there = [node for node in fleet if node.state.is_there]
    found = [node for node in there if asked in (node.name, node.id)]
    found = found or [node for node in there if asked and node.id.startswith(asked)]
    if not found:
        names = ", ".join(node.name for node in there)
        others = f"Its nodes are: {names}." if names else "It has no nodes."
        raise NotFound(f"The fleet has no node {asked}. {others}")
    if len(found) > 1:
        raise InputError(f"Several nodes are called {asked}. Give the beginning of the node's id.")
    return found[0]


def drain(database: Database, asked: str, how: Drain) -> FleetNode:
    """Ask for a node to take nothing new, to give back what runs too, or to take work again. The
    fleet's runner does it within a second or two. Raises what ``find`` raises."""
    with database.write() as session:
        node = find(nodes.listing(session), asked)
        nodes.ask_to_drain(session, node.id, how)
        return find(nodes.listing(session), node.id)
