"""A fleet that is a script: an engine whose nodes come and go as the test says, and whose processes
end when the test says."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from app.database import Database
from app.fleet.engine import FleetUnavailable, NodeExecutor, NodeLost, labelled
from app.fleet.fleet import FleetRunner
from app.fleet.nodes import Description, SeenNode
from app.jobs.offers import Offers
from app.settings import RunnerSettings
from app.studies import service
from app.tuning.owner import Owner
from tests.app.jobs.conftest import offers, request
from tests.app.jobs.test_runner import FakeProcess

SETTINGS = RunnerSettings(heartbeat_s=5, dead_after_s=60, cancel_grace_s=5)


def description(host: str, **changes: Any) -> Description:
    """A node with a device ``cpu``, unless ``devices`` names others."""
    devices = changes.pop("devices", ("cpu",))
    told: dict[str, Any] = {
        "owner": Owner(1000, host, 1.0),
        "place": f"place of {host}",
        "versions": {"tonnage": version("tonnage"), "torch": "2.13.0"},
        "offers": offers(*devices, host=host),
        "problem": "",
    }
    return Description(**{**told, **changes})


class ScriptedNode(NodeExecutor):
    """Starts processes that are facts of the test."""

    def __init__(self, fleet: ScriptedFleet, node: SeenNode, described: Description) -> None:
        self.fleet, self.seen, self.described = fleet, node, described
        self.processes: list[FakeProcess] = []
        self.is_closed = self.has_lost = False

    @property
    def description(self) -> Description:
        return self.described

    @property
    def owner(self) -> Owner:
        return self.described.owner

    @property
    def place(self) -> str:
        return self.described.place

    @property
    def node(self) -> str:
        return self.seen.host

    def offers(self) -> Offers:
        assert self.described.offers is not None
        return labelled(self.described.offers, self.seen.labels)

    def start(self, job, runner_id, offer) -> FakeProcess:
        assert not self.is_closed
        alive = [p.lease for p in self.fleet.processes if p.status is None]
        assert offer.lease not in alive, "two processes on one device"
        self.processes.append(FakeProcess(self.fleet, job.id, runner_id, offer.lease))
        return self.processes[-1]

    @property
    def is_lost(self) -> bool:
        return self.has_lost

    def close(self) -> None:
        self.is_closed = True
        for process in self.processes:
            process.kill()


class ScriptedOpening:
    def __init__(self, fleet: ScriptedFleet, node: SeenNode) -> None:
        self.fleet, self.node, self.is_closed = fleet, node, False

    def poll(self) -> ScriptedNode | None:
        answer = self.fleet.answers.get(self.node.host)
        if answer is None or isinstance(answer, Exception):
            if answer is not None:
                raise answer
            return None
        self.fleet.executors[self.node.host] = ScriptedNode(self.fleet, self.node, answer)
        return self.fleet.executors[self.node.host]

    def close(self) -> None:
        self.is_closed = True


class ScriptedFleet:
    """An ``Engine``, a clock and a database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now_s = 0.0
        self.there: dict[str, SeenNode] = {}
        self.answers: dict[str, Description | NodeLost | None] = {}
        self.executors: dict[str, ScriptedNode] = {}
        self.ended: set[str] = set()
        self.is_closed = self.is_silent = False
        self.opened: list[str] = []

    # -- the engine ------------------------------------------------------------------------

    def nodes(self) -> list[SeenNode]:
        if self.is_silent:
            raise FleetUnavailable("The head does not answer.")
        return list(self.there.values())

    def open(self, node: SeenNode) -> ScriptedOpening:
        self.opened.append(node.host)
        return ScriptedOpening(self, node)

    def lost(self) -> set[str]:
        ended, self.ended = self.ended, set()
        return ended

    def close(self) -> None:
        self.is_closed = True

    # -- the test --------------------------------------------------------------------------

    @property
    def processes(self) -> list[FakeProcess]:
        return [process for node in self.executors.values() for process in node.processes]

    def runner(self) -> FleetRunner:
        return FleetRunner(self.database, SETTINGS, self, clock=lambda: self.now_s)

    def add(self, host: str, labels: dict[str, str] | None = None, **changes: Any) -> str:
        """A node; returns its id."""
        node = SeenNode(f"id-of-{host}", host, "127.0.0.1", labels or {})
        self.there[node.id] = node
        self.answers[host] = description(host, **changes)
        return node.id

    def remove(self, host: str) -> None:
        """The host loses its power."""
        del self.there[f"id-of-{host}"]
        for process in self.executors.pop(host).processes:
            process.end(-9)

    def submit(self, **changes):
        return service.submit(self.database, request(**changes))

    def rounds(self, runner: FleetRunner, count: int = 4) -> None:
        """Enough for a node to become ready, and for what was asked for to be seen."""
        for _ in range(count):
            runner.step()
            self.now_s += 1.0
