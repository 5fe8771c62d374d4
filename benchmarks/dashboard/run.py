"""``python -m benchmarks dashboard``: server time, page weight, requests and first paint."""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from app.database import open_database
from benchmarks.dashboard.fill import full_recommendation, long_study
from benchmarks.dashboard.look import look
from benchmarks.record import write
from benchmarks.service.fill import fill
from benchmarks.service.servers import running

MEASUREMENTS = 1_000_000
TRIALS = 5_000
ROUNDS = 20
MOST_SERVER_MS, MOST_KIB, MOST_PAINT_MS = 100.0, 400.0, 1000.0


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks dashboard", description=__doc__)
    parser.add_argument("--measurements", type=int, default=MEASUREMENTS)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    given = parser.parse_args(arguments or [])
    with tempfile.TemporaryDirectory(prefix="tonnage-benchmark-") as folder:
        url = f"sqlite:///{Path(folder)}/dashboard.db"
        database = open_database(url)
        recommendation_id = full_recommendation(database)
        study_id = long_study(database, given.trials)
        fill(database, given.measurements)
        pages = _pages(recommendation_id, study_id)
        database.close()
        with running("tonnage", url) as (host, port):
            address = f"http://{host}:{port}"
            found = {
                name: {"server_ms": _server_ms(address + path, given.rounds)}
                for name, path in pages.items()
            }
            for name, seen in look(address, pages).items():
                found[name] |= seen
    result = {
        "measurements": given.measurements,
        "trials": given.trials,
        "pages": found,
        "goals_met": _goals(found),
    }
    print(json.dumps(result, indent=2))
    print(f"written to {write('dashboard', result)}")


def _pages(recommendation_id: str, study_id: str) -> dict[str, str]:
    return {
        "overview": "/",
        "studies": "/studies",
        "study": f"/studies/{study_id}",
        "study, sorted and filtered": (
            f"/studies/{study_id}?sort=throughput&state=feasible&q=width&page=9"
        ),
        "study, what a change fetches": f"/studies/{study_id}/live",
        "start": "/start",
        "recommendations": "/recommendations",
        "recommendation": f"/recommendations/{recommendation_id}",
        "workload": "/workloads/transformer",
        "compare": f"/compare?a={recommendation_id}&b={recommendation_id}",
        "checks": "/checks",
        "devices": "/devices",
    }


def _server_ms(url: str, rounds: int) -> dict[str, float]:
    """From the first byte that is sent to the last that is received, compressed, without any
    other client."""
    request = Request(url, headers={"Accept": "text/html", "Accept-Encoding": "gzip"})
    times = []
    for _ in range(rounds + 2):
        began_s = time.perf_counter()
        with urlopen(request) as answer:
            answer.read()
        times.append(1e3 * (time.perf_counter() - began_s))
    first, *rest = times
    return {
        "first": round(first, 1),
        "median": round(statistics.median(rest), 1),
        "worst": round(max(rest), 1),
    }


def _goals(found: dict[str, dict[str, Any]]) -> dict[str, bool]:
    seen = [page for page in found.values() if "weight_kib" in page]
    return {
        "study_page_under_100_ms_of_server_time": all(
            page["server_ms"]["median"] < MOST_SERVER_MS
            for name, page in found.items()
            if name.startswith("study")
        ),
        "pages_of_at_most_400_kib_compressed": all(p["weight_kib"] <= MOST_KIB for p in seen),
        "first_contentful_paint_within_1_s": all(
            page["first_contentful_paint_ms"] <= MOST_PAINT_MS for page in seen
        ),
        "no_request_to_another_host": all(not page["other_hosts"] for page in seen),
    }
