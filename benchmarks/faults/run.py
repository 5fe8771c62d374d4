"""``python -m benchmarks faults``: campaigns on SQLite and PostgreSQL."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.faults.campaign import Campaign, Outcome
from benchmarks.faults.clients import Clients
from benchmarks.faults.disk import small_disk
from benchmarks.faults.house import House
from benchmarks.faults.postgres import Postgres
from benchmarks.record import RESULTS, write

KILLS = 100
WRITERS = 2
DISK_MIB = 256


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks faults", description=__doc__)
    kinds = ["sqlite", "postgresql"]
    parser.add_argument("--on", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--kills", type=int, default=KILLS, help="in each campaign")
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="a campaign for each")
    parser.add_argument("--keep", type=Path, help="folder for what the processes say")
    given = parser.parse_args(arguments or [])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what it started is ended all the same
    campaigns = _of_today()
    for kind in given.on:
        for seed in given.seed:
            campaigns[f"{kind}, seed {seed}"] = _campaign(kind, seed, given.kills, given.keep)
            file = write("faults", {"total": _total(campaigns), "campaigns": campaigns})
            print(f"{table(campaigns)}\nwritten to {file}", flush=True)


def _campaign(kind: str, seed: int, kills: int, keep: Path | None) -> dict[str, Any]:
    print(f"-- {kind}, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="tonnage-faults-") as temporary:
        folder = keep or Path(temporary)
        data = Path(temporary) / "disk"
        with small_disk(data, DISK_MIB) as mounted:
            Path(temporary).chmod(0o755)  # the server's user must get to its folder
            postgres = Postgres(data / "server") if kind == "postgresql" else None
            try:
                url = postgres.url if postgres else f"sqlite:///{data}/tonnage.db"
                house = House(folder / "house", data, url)
                clients = Clients(house.url, seed, ask)
                campaign = Campaign(house, clients, seed, postgres=postgres, has_small_disk=mounted)
                return _record(campaign.run(kills, WRITERS))
            finally:
                if postgres is not None:
                    postgres.stop()


def ask(number: int) -> dict[str, object]:
    """The nth question: each another one."""
    return {
        "workload": "tiny",
        "budget": "smoke_test",
        "pinned": {"width": 8 + number},
        "trials": 2,
        "memory_budget_bytes": 2**30,
    }


def _record(outcome: Outcome) -> dict[str, Any]:
    return {
        "kills": dict(sorted(outcome.kills.items())),
        "clock_jumps": outcome.clock_jumps,
        "full_disks": outcome.full_disks,
        "wrong": outcome.wrong,
        **outcome.facts,
    }


def _of_today() -> dict[str, Any]:
    """Campaigns that were run before are kept: a long one can be run in pieces."""
    file = RESULTS / f"faults-{datetime.now(UTC).date().isoformat()}.json"
    if not file.exists():
        return {}
    found: dict[str, Any] = json.loads(file.read_text())["result"]["campaigns"]
    return found


def _total(campaigns: dict[str, Any]) -> dict[str, Any]:
    kills: Counter[str] = Counter()
    for each in campaigns.values():
        kills.update(each["kills"])
    return {
        "kills": kills.total(),
        "by_victim": dict(sorted(kills.items())),
        "measurements_acknowledged": sum(
            each["measurements_acknowledged"] for each in campaigns.values()
        ),
        "wrong": sum(len(each["wrong"]) for each in campaigns.values()),
    }


def table(campaigns: dict[str, Any]) -> str:
    """For people, and for docs/benchmarks.md."""
    lines = [
        "| campaign | kills | of which | clock set | disk full | acknowledged | studies | wrong |",
        "|---|--:|---|--:|--:|--:|---|--:|",
    ]
    for name, each in campaigns.items():
        kills, studies = (
            ", ".join(f"{count} {what}" for what, count in each[key].items())
            for key in ("kills", "studies")
        )
        total = sum(each["kills"].values())
        lines.append(
            f"| {name} | {total} | {kills} | {each['clock_jumps']} | {each['full_disks']} | "
            f"{each['measurements_acknowledged']:,} | {studies} | {len(each['wrong'])} |"
        )
    return "\n".join(lines)
