"""Devices of several nodes of the fleet that train as one, directed from one of the nodes.

This process is the parent of the gang: it searches, judges and stores, as it does for ranks on its
own host. The database is asked for nothing: the lease of each device on its host is what keeps
others away, and all are taken or none.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version

from app.fleet.address import FleetAddress
from app.fleet.node_services import SeenHost
from app.fleet.nodes import SeenNode
from app.machine import groups
from app.machine.local_facts import timeouts
from app.machine.own_command import own_command
from app.machine.target import Target
from app.settings import Settings
from probes.black_box.command import is_command
from probes.devices.fingerprint import Fingerprint, group_fingerprint
from probes.devices.lease import OnWait
from probes.devices.links import NETWORK
from probes.errors import InputError, TonnageError
from probes.formatting import sentences
from probes.group import LIBRARIES, MOST_RANKS, Group
from probes.interpreter import resolve_python
from probes.job import WorkloadRef
from probes.measurement import Measurement
from probes.prober import Prober
from probes.ranks.network import Network
from probes.ranks.remote.hosts import Hosts
from probes.ranks.remote.parent import Host
from probes.ranks.remote.telemetry import HostsTelemetry
from probes.ranks.remote.wire import HostLost

AUTO = "auto"
"""As few nodes as have the devices: one, if one has them all."""

StartHosts = Callable[[Sequence[SeenNode], str], list[int]]
"""Starts ``app.fleet.rank_host`` on each node, with a secret; returns the ports."""


@dataclass(frozen=True)
class AskedGang:
    """What ``--devices`` and ``--nodes`` ask for."""

    ranks: int
    nodes: int | None
    """``None``: as few as have the devices."""
    kind: str | None
    """Of the devices; ``None``: of this node's best one."""


def asked_gang(devices: str | None, nodes: str, device: str | None) -> AskedGang:
    """From the options. Raises ``InputError``."""
    if devices is None or not devices.strip().isdigit():
        raise InputError("--nodes: say how many devices train together on them: --devices 4")
    ranks = int(devices)
    count = None if nodes.strip().lower() == AUTO else _number(nodes)
    if not 1 < ranks <= MOST_RANKS:
        raise InputError(f"--devices {devices}: a gang of the fleet has 2 to {MOST_RANKS} ranks.")
    if count is not None and (count < 1 or ranks % count):
        raise InputError(
            f"--nodes {nodes}: {ranks} ranks cannot be divided evenly among that many nodes."
        )
    kind = device.strip().lower() if device is not None else None
    if kind is not None and kind not in LIBRARIES:
        raise InputError(
            f"--device {device}: with --nodes, give a kind of device: {', '.join(LIBRARIES)}."
        )
    return AskedGang(ranks, count, kind)


def choose_nodes(nodes: Sequence[SeenNode], own_id: str, asked: AskedGang) -> list[SeenNode]:
    """The nodes that share the ranks, of one class, this one first if it is among them. Raises
    ``InputError`` that says what there is."""
    own = next((each for each in nodes if each.id == own_id), None)
    kind = asked.kind or (own.labels.get("tonnage/device") if own is not None else None) or "cpu"
    of_kind = [each for each in nodes if each.labels.get("tonnage/device") == kind]
    classes = Counter(each.labels.get("tonnage/class", "") for each in of_kind)
    if not classes:
        raise InputError(f"--nodes: no node of the fleet is labelled tonnage/device={kind}.")
    wanted = classes.most_common(1)[0][0]
    if own in of_kind and own is not None:
        wanted = own.labels.get("tonnage/class", "")
    alike = [each for each in of_kind if each.labels.get("tonnage/class", "") == wanted]
    alike.sort(key=lambda each: (each.id != own_id, name_of(each)))
    counts = range(1, asked.ranks + 1) if asked.nodes is None else (asked.nodes,)
    for count in counts:
        each_has = asked.ranks // count
        able = [each for each in alike if _devices(each, kind) >= each_has]
        if asked.ranks % count == 0 and len(able) >= count:
            return able[:count]
    there = ", ".join(f"{name_of(each)} ({_devices(each, kind)})" for each in alike)
    if len(alike) < (asked.nodes or 1) or kind == "cpu":
        raise InputError(
            f"--nodes {asked.nodes}: {len(alike)} nodes have {kind} devices of one class: "
            f"{', '.join(map(name_of, alike))}."
        )
    raise InputError(
        f"--devices {asked.ranks}: the nodes with {kind} devices of one class do not have that "
        f"many, divided evenly: {there}."
    )


def name_of(node: SeenNode) -> str:
    """As ``tonnage fleet status`` shows it, where names are not shared."""
    return node.labels.get("tonnage/name") or node.host


@dataclass(frozen=True)
class GangTarget(Target):
    """Devices of several nodes as one. ``close`` it in the end."""

    hosts: Hosts = field(kw_only=True)
    seen: tuple[SeenHost, ...] = field(kw_only=True)
    """What each node told."""
    engine: object = field(default=None, kw_only=True)
    """What the processes on the nodes end with."""

    @property
    def network(self) -> Network | None:
        return self.hosts.network

    @contextmanager
    def lease(self, settings: Settings, on_wait: OnWait | None = None) -> Iterator[None]:
        """Keep the devices on all nodes to this process, and measure the network between them the
        first time. Raises ``MeasurementError`` where one is in use and is not free in time."""
        assert self.group is not None
        self.hosts.reserve(own_command(), settings.probe.lease_wait_s, on_wait)
        try:
            if self.group.hosts > 1 and self.hosts.network is None:
                self.hosts.network = self.prober.measure_network(self.group)
                self.fingerprint.environment.update(self.hosts.network.rounded)
            yield
        finally:
            self.prober.close()  # the ranks end before the devices are free
            self.hosts.release()

    def checked(self, measurement: Measurement) -> Measurement:
        """A node that went away says nothing about the config. Raises ``HostLost`` with the rank
        and the node."""
        if any(each.lost for each in self.hosts.members):
            raise HostLost(sentences(measurement.reason, measurement.hint))
        return measurement

    def of_one_rank(self) -> Target:
        assert self.group is not None
        budget = self.group.limits[0] if self.group.limits else self.memory_budget_bytes
        group, members = groups.one_of(self.group), self.members[:1]
        facts = replace(
            groups.group_facts(group, members),
            total_bytes=self.facts.total_bytes,
            name=members[0].name,
        )
        return replace(
            self,
            facts=facts,
            telemetry=HostsTelemetry(self.hosts.members[:1], members),
            fingerprint=_fingerprint(group, self.seen[:1], facts.total_bytes),
            memory_budget_bytes=budget,
            group=group,
            members=members,
        )

    def close(self) -> None:
        """Leave the nodes; all that was started there ends."""
        self.prober.close()
        self.hosts.close()


def open_gang(
    settings: Settings,
    fleet: FleetAddress,
    workload: WorkloadRef,
    python: str | None,
    asked: AskedGang,
    budgets: Sequence[int],
    *,
    own_python: str | None = None,
) -> GangTarget:
    """The gang on nodes of the fleet that this host has joined.

    ``python`` is the interpreter that was asked for, on every node; ``own_python`` the one that
    this host has for the workload. Raises ``InputError`` for nodes that are not there or cannot
    train this workload together, and ``FleetUnavailable``.
    """
    if is_command(workload):
        raise InputError("--nodes does not go with a command: its ranks are on one machine.")
    from app.fleet.on_ray.rank_hosts import RankHosts

    engine = RankHosts(fleet)
    nodes = choose_nodes(engine.nodes, engine.own_id, asked)
    gang = gang_on(settings, nodes, engine.start, workload, python, asked, budgets)
    return replace(gang, prober=_prober(settings, own_python or python, gang.hosts), engine=engine)


def gang_on(
    settings: Settings,
    nodes: Sequence[SeenNode],
    start: StartHosts,
    workload: WorkloadRef,
    python: str | None,
    asked: AskedGang,
    budgets: Sequence[int],
) -> GangTarget:
    """The same on nodes that have been chosen."""
    secret = secrets.token_hex(32)
    ports = start(nodes, secret)
    names = _unique([name_of(each) for each in nodes])
    hosts = Hosts(
        [
            Host(name, (node.address, port), secret.encode())
            for name, node, port in zip(names, nodes, ports, strict=True)
        ]
    )
    try:
        return _target(settings, hosts, workload, python, asked, budgets, nodes[0])
    except BaseException:
        hosts.close()
        raise


def _target(
    settings: Settings,
    hosts: Hosts,
    workload: WorkloadRef,
    python: str | None,
    asked: AskedGang,
    budgets: Sequence[int],
    first: SeenNode,
) -> GangTarget:
    kind = asked.kind or first.labels.get("tonnage/device", "cpu")
    seen = _look(hosts, workload, python, kind, asked.ranks // len(hosts.members))
    members = tuple(each for one in seen for each in one.members)
    group = Group(tuple(each.device for each in members), nodes=hosts.names)
    joined_with = [each.memory_budget_bytes for each in seen if each.memory_budget_bytes]
    budgets = list(budgets) or ([min(joined_with)] if joined_with else [])
    group, least = groups.with_budgets(group, members, budgets)
    facts = groups.group_facts(group, members)
    return GangTarget(
        _prober(settings, python, hosts),
        facts,
        HostsTelemetry(hosts.members, members),
        _fingerprint(group, seen, facts.total_bytes),
        {"torch": seen[0].torch},
        least,
        python,
        group,
        members,
        hosts=hosts,
        seen=tuple(seen),
    )


def _prober(settings: Settings, python: str | None, hosts: Hosts) -> Prober:
    return Prober(resolve_python(python), timeouts(settings), hosts=hosts)


def _look(
    hosts: Hosts, workload: WorkloadRef, python: str | None, kind: str, ranks: int
) -> list[SeenHost]:
    """What each node has. Raises ``InputError`` that names the node that differs from the first."""

    def look(each: Host) -> SeenHost:
        try:
            seen: SeenHost = each.ask(
                "look", workload=workload, python=python, kind=kind, ranks=ranks
            )
        except HostLost:
            raise
        except TonnageError as error:
            raise type(error)(f"Node {each.name}: {error}") from None
        return seen

    with ThreadPoolExecutor(len(hosts.members)) as pool:
        seen = list(pool.map(look, hosts.members))
    first, owners = hosts.members[0].name, dict[str, str]()
    for each, found in zip(hosts.members, seen, strict=True):
        if problem := _difference(found, seen[0]):
            raise InputError(f"Nodes {first} and {each.name} cannot train together: {problem}")
        for facts, lease in zip(found.members, found.leases, strict=True):
            owner = owners.setdefault(lease, each.name)
            if owner != each.name and not lease.startswith(" "):
                raise InputError(
                    f"Nodes {owner} and {each.name} are on one host and share its {facts.device}. "
                    "Use --devices without --nodes."
                )
    return seen


def _difference(one: SeenHost, first: SeenHost) -> str:
    """Why two nodes cannot train together; empty if they can."""
    ours = version("tonnage")
    if one.tonnage != ours:
        return f"one has Tonnage {one.tonnage}, and this is {ours}."
    if one.torch != first.torch:
        return f"torch is {first.torch} on one and {one.torch} on the other."
    if one.source_hash != first.source_hash:
        return "the workload's code differs. Copy it, or use a folder that the hosts share."
    if one.fingerprints[0].class_key != first.fingerprints[0].class_key:
        return f"{first.members[0].name} and {one.members[0].name} are not of one class."
    return ""


def _fingerprint(group: Group, seen: Sequence[SeenHost], total_bytes: int) -> Fingerprint:
    known = [each for one in seen for each in one.fingerprints][: group.size]
    link = NETWORK if group.hosts > 1 else seen[0].link
    return group_fingerprint(
        known, total_bytes=total_bytes, library=group.library, link=link, hosts=group.hosts
    )


def _devices(node: SeenNode, kind: str) -> int:
    """How many ranks a node can have."""
    return MOST_RANKS if kind == "cpu" else max(1, node.gpus)


def _unique(names: Sequence[str]) -> list[str]:
    """Names of nodes, numbered where several share one."""
    counted, found = Counter(names), Counter[str]()
    told = []
    for name in names:
        found[name] += 1
        told.append(name if counted[name] == 1 else f"{name}-{found[name]}")
    return told


def _number(text: str) -> int:
    if not text.strip().isdigit():
        raise InputError(f"--nodes {text}: give a number of nodes, or auto.")
    return int(text)
