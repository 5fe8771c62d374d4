"""What scheduling costs the database and the processor, at several sizes of a fleet."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from app.database import Database, open_database
from app.jobs import repository
from app.tuning.request import StudyRequest
from benchmarks.fleet_scale.nodes import WORKLOAD, Fleet, World
from benchmarks.fleet_scale.statements import counting
from benchmarks.service.servers import running

IDLE_ROUNDS = 20
"""Two heartbeats long."""
CLIENTS = 4

Build = Callable[[Database, World, int], Fleet]


@dataclass(frozen=True)
class Cost:
    """Of one size. Statements are those of the runners; what the jobs' processes store is not."""

    nodes: int
    studies: int
    rounds: int
    wall_s: float
    """Includes what the simulated processes store."""
    decisions_per_s: float
    statements_per_decision: float
    commits_per_decision: float
    idle_statements_per_node_and_round: float
    idle_ms_per_round: float
    """Wall time of a round of all nodes in which nothing happens."""
    api: dict[str, float]
    """Latency of the API meanwhile."""


def measure(url: str, build: Build, nodes: int, studies: int) -> Cost:
    """Queue the studies, let the nodes take them all, then let them idle."""
    database = open_database(url)
    world = World(open_database(url))
    try:
        submit(database, studies)
        fleet = build(database, world, nodes)
        with running("tonnage", url) as address, counting(database) as asked:
            load = api_load(address)
            began_s, rounds = time.perf_counter(), 0
            while world.finished < studies:
                fleet.step()
                rounds += 1
                if rounds > 100 * studies:
                    raise RuntimeError("The fleet does not get on.")
            wall_s = time.perf_counter() - began_s
            busy = asked.copy()
            api = latencies(load)
            fleet.step()
            before, began_s = asked.copy(), time.perf_counter()
            for _ in range(IDLE_ROUNDS):
                fleet.step()
            idle_s, idle = time.perf_counter() - began_s, asked - before
        return Cost(
            nodes=nodes,
            studies=studies,
            rounds=rounds,
            wall_s=round(wall_s, 2),
            decisions_per_s=round(studies / wall_s, 1),
            statements_per_decision=round(busy.statements / studies, 2),
            commits_per_decision=round(busy.commits / studies, 2),
            idle_statements_per_node_and_round=round(idle.statements / nodes / IDLE_ROUNDS, 3),
            idle_ms_per_round=round(1000 * idle_s / IDLE_ROUNDS, 1),
            api=api,
        )
    finally:
        world.processes.close()
        database.close()


def submit(database: Database, studies: int) -> None:
    """Queue that many studies at once. (Over HTTP each is checked and stored by itself.)"""
    with database.write() as session:
        for number in range(1, studies + 1):
            asked = StudyRequest.trusted({"workload": WORKLOAD, "trials": number})
            row = repository.add(session, f"st_{number:020}", asked)
            repository.add_event(session, row, "queued", {"message": ""})


def api_load(address: tuple[str, int]) -> subprocess.Popen[str]:
    """Reads pages of studies and single ones until it is asked for what it measured."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fleet_scale.reader", *map(str, address)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def latencies(load: subprocess.Popen[str]) -> dict[str, float]:
    out, _ = load.communicate("stop\n", timeout=60)
    found: dict[str, float] = json.loads(out)
    return found


def growth(costs: list[Cost]) -> dict[str, float]:
    """By what each figure grew from the smallest to the largest size, for each node more: 1.0 is a
    cost per decision that does not depend on the size of the fleet."""
    first, last = costs[0], costs[-1]
    return {
        "nodes": last.nodes / first.nodes,
        "statements_per_decision": _ratio(
            last.statements_per_decision, first.statements_per_decision
        ),
        "time_per_decision": _ratio(first.decisions_per_s, last.decisions_per_s),
        "idle_statements_per_node": _ratio(
            last.idle_statements_per_node_and_round, first.idle_statements_per_node_and_round
        ),
    }


def _ratio(a: float, b: float) -> float:
    return round(a / b, 2) if b else 0.0


def documents(costs: list[Cost]) -> list[dict[str, Any]]:
    return [asdict(cost) for cost in costs]
