"""``python -m benchmarks service``: reads beside a bare route, and many writers at once."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from app.database import open_database
from app.database.models.results import MeasurementRow
from benchmarks.record import write
from benchmarks.service import load
from benchmarks.service.fill import fill, measurement, recommend
from benchmarks.service.servers import PATH, running

READERS = 8
ROUNDS = 6
STORED = (10_000, 100_000, 1_000_000)
WRITERS = 64
LEAST_SHARE, LARGEST_P99, LARGEST_GROWTH = 0.6, 2.0, 1.3


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks service", description=__doc__)
    parser.add_argument("--stored", type=int, nargs="+", default=list(STORED))
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each turn of a server")
    parser.add_argument("--write-seconds", type=float, default=60.0)
    parser.add_argument("--postgres", metavar="URL", help="an empty database, for the writers")
    given = parser.parse_args(arguments or [])
    with tempfile.TemporaryDirectory(prefix="tonnage-benchmark-") as folder:
        reads = _reads(f"sqlite:///{folder}/reads.db", given.stored, given.rounds, given.seconds)
        urls = {"sqlite": f"sqlite:///{Path(folder)}/writes.db"}
        if given.postgres:
            urls["postgresql"] = given.postgres
        writes = {name: _writes(url, given.write_seconds) for name, url in urls.items()}
    result = {"reads": reads, "writes": writes, "goals_met": _goals(reads, writes)}
    print(json.dumps(result["goals_met"], indent=2))
    print(f"written to {write('service', result)}")


def _reads(url: str, stored: list[int], rounds: int, seconds: float) -> list[dict[str, Any]]:
    database = open_database(url)
    recommend(database)
    results = []
    for count in stored:
        fill(database, count)
        results.append({"stored": count, **_compare(url, rounds, seconds)})
        print(results[-1], flush=True)
    database.close()
    return results


def _compare(url: str, rounds: int, seconds: float) -> dict[str, Any]:
    """In turns, so that what else the machine does meets both alike."""
    request = load.get(PATH)
    found: dict[str, list[load.Load]] = {"bare": [], "tonnage": []}
    with running("bare", url) as bare, running("tonnage", url) as tonnage:
        for address in (bare, tonnage):
            load.drive(address, lambda _client: lambda: request, READERS, 1.0)  # warm
        for _ in range(rounds):
            for kind, address in (("bare", bare), ("tonnage", tonnage)):
                run = load.drive(address, lambda _client: lambda: request, READERS, seconds)
                assert set(run.statuses) == {200}, run.statuses
                found[kind].append(run)
    result: dict[str, Any] = {}
    for kind, runs in found.items():
        result[kind] = {
            "requests_per_s": round(statistics.median(run.requests_per_s for run in runs), 1),
            "p50_ms": round(1e3 * statistics.median(run.percentile_s(0.5) for run in runs), 3),
            "p99_ms": round(1e3 * statistics.median(run.percentile_s(0.99) for run in runs), 3),
        }
    pairs = list(zip(found["bare"], found["tonnage"], strict=True))
    share = statistics.median(ours.requests_per_s / bare.requests_per_s for bare, ours in pairs)
    p99 = statistics.median(o.percentile_s(0.99) / b.percentile_s(0.99) for b, o in pairs)
    return {**result, "share_of_bare": round(share, 3), "p99_to_bare": round(p99, 3)}


def _writes(url: str, seconds: float) -> dict[str, Any]:
    database = open_database(url)
    acknowledged = [0] * WRITERS
    body = json.dumps(
        {
            "scope": {"workload_hash": "abc123", "fingerprint": "f" * 16},
            "measurement": measurement(1).to_dict(),
        }
    ).encode()

    def requests(_client: int) -> Callable[[], bytes]:
        return lambda: load.post("/v1/measurements", body, {"Idempotency-Key": str(uuid.uuid4())})

    def count(client: int) -> None:
        acknowledged[client] += 1

    with running("tonnage", url) as address:
        run = load.drive(address, requests, WRITERS, seconds, count)
    with database.read() as session:
        stored = session.execute(select(func.count()).select_from(MeasurementRow)).scalar_one()
    database.close()
    result = {
        "clients": WRITERS,
        "seconds": seconds,
        "acknowledged": sum(acknowledged),
        "stored": stored,
        "statuses": {str(status): number for status, number in run.statuses.items()},
        "writes_per_s": round(run.requests_per_s, 1),
        "p99_ms": round(1e3 * run.percentile_s(0.99), 1),
    }
    print(result, flush=True)
    return result


def _goals(reads: list[dict[str, Any]], writes: dict[str, Any]) -> dict[str, bool]:
    first = reads[0]["tonnage"]["p99_ms"]
    return {
        "at_least_0.6_of_a_bare_route": all(r["share_of_bare"] >= LEAST_SHARE for r in reads),
        "p99_at_most_2_times_a_bare_route": all(r["p99_to_bare"] <= LARGEST_P99 for r in reads),
        "p99_within_1.3_whatever_is_stored": all(
            r["tonnage"]["p99_ms"] <= LARGEST_GROWTH * first for r in reads
        ),
        "every_acknowledged_write_stored_once": all(
            w["acknowledged"] == w["stored"] and set(w["statuses"]) == {"201"}
            for w in writes.values()
        ),
    }
