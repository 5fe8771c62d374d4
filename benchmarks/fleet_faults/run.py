"""``python -m benchmarks fleet_faults``: a campaign in a fleet on this machine."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.faults.clients import Clients
from benchmarks.faults.disk import small_disk
from benchmarks.faults.postgres import Postgres
from benchmarks.faults.run import DISK_MIB, WRITERS, ask
from benchmarks.fleet_faults.campaign import FleetCampaign
from benchmarks.fleet_faults.house import FleetHouse
from benchmarks.record import write

FAULTS = 60


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks fleet_faults", description=__doc__)
    parser.add_argument("--faults", type=int, default=FAULTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for what the processes say")
    given = parser.parse_args(arguments or [])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what it started is ended all the same
    result = _campaign(given.seed, given.faults, given.keep)
    file = write("fleet_faults", result, ["ray"])
    print(f"{table(result)}\nwritten to {file}", flush=True)


def _campaign(seed: int, faults: int, keep: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="tonnage-fleet-") as temporary:
        folder = keep or Path(temporary)
        data = Path(temporary) / "disk"
        with small_disk(data, DISK_MIB) as mounted:
            Path(temporary).chmod(0o755)  # the server's user must get to its folder
            postgres = Postgres(data / "server")
            try:
                house = FleetHouse(folder / "house", data, postgres.url)
                clients = Clients(house.url, seed, ask)
                campaign = FleetCampaign(
                    house, clients, seed, postgres=postgres, has_small_disk=mounted
                )
                outcome = campaign.run(faults, WRITERS)
            finally:
                postgres.stop()
    return {
        "seed": seed,
        "faults": dict(sorted(outcome.kills.items())),
        "clock_jumps": outcome.clock_jumps,
        "full_disks": outcome.full_disks,
        "wrong": outcome.wrong,
        **outcome.facts,
    }


def table(result: dict[str, Any]) -> str:
    """For people, and for docs/benchmarks.md."""
    lines = ["| fault | times | measured again after, median | at most |", "|---|--:|--:|--:|"]
    lines += [
        f"| {kind} | {each['times']} | {each['median_s']:.1f} s | {each['max_s']:.1f} s |"
        for kind, each in result["recovery"].items()
    ]
    studies = ", ".join(f"{count} {state}" for state, count in result["studies"].items())
    lines.append(
        f"\n{sum(result['faults'].values())} faults, {result['clock_jumps']} times the clock was "
        f"set, {result['full_disks']} times the disk was full; studies: {studies}; "
        f"{result['probes']} probes, {result['overlaps']} overlaps; {len(result['wrong'])} wrong."
    )
    return "\n".join(lines)
