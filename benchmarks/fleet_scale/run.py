"""Two parts. ``speed-up``: a study on two devices against one, on a simulated clock.
``scheduling``: real runners and a real queue with simulated nodes, on SQLite and on PostgreSQL,
while somebody reads the API.
"""

from __future__ import annotations

import argparse
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.fleet_scale import scheduling, speed_up
from benchmarks.fleet_scale.nodes import OneLoop, RunnerPerHost
from benchmarks.fleet_scale.per_probe import per_probe
from benchmarks.record import write

PARTS = ("speed-up", "scheduling")
SIZES = (25, 50, 100, 200)
WAYS = {"one loop (--fleet)": OneLoop, "a runner on each host": RunnerPerHost}
PER_NODE = 10
"""Studies in the queue for each node: 2,000 for 200 nodes."""


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks fleet_scale", description=__doc__)
    parser.add_argument("--parts", default=",".join(PARTS), help="which, separated by commas")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES), metavar="NODES")
    parser.add_argument("--postgres", metavar="URL", help="a server where databases may be made")
    asked = parser.parse_args(arguments)
    result: dict[str, Any] = {}
    if "speed-up" in asked.parts:
        result["speed-up"] = {}
        for case in speed_up.CASES:
            result["speed-up"][case.title] = speed_up.measure(case, asked.seeds)
            print(case.title, result["speed-up"][case.title], flush=True)
    if "scheduling" in asked.parts:
        result["scheduling"] = _scheduling(asked.sizes, asked.postgres)
    file = write("fleet_scale", result, ["sqlalchemy", "psycopg"])
    file.with_suffix(".md").write_text(text(result))
    print(text(result))
    print(f"written to {file}")


def _scheduling(sizes: Sequence[int], postgres: str | None) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, server in (("SQLite", None), *([("PostgreSQL", postgres)] if postgres else [])):
        with empty(server) as url:
            probe = per_probe(url)
        print(name, probe, flush=True)
        for way, build in WAYS.items():
            costs = []
            for nodes in sizes:
                with empty(server) as url:
                    costs.append(scheduling.measure(url, build, nodes, PER_NODE * nodes))
                print(name, way, costs[-1], flush=True)
            result[f"{name}, {way}"] = {
                "per_probe": probe,
                "sizes": scheduling.documents(costs),
                "growth": scheduling.growth(costs),
            }
    return result


@contextmanager
def empty(server: str | None) -> Iterator[str]:
    """The address of an empty database, which is removed in the end."""
    if server is None:
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/tonnage.db"
        return
    from sqlalchemy import create_engine
    from sqlalchemy import text as sql

    from app.database.url import connectable, parse_url

    url = connectable(parse_url(server))
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    name = f"tonnage_benchmark_{uuid.uuid4().hex[:12]}"
    with engine.connect() as connection:
        connection.execute(sql(f"CREATE DATABASE {name}"))
    try:
        yield url.set(database=name).render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.execute(sql(f"DROP DATABASE {name} WITH (FORCE)"))
        engine.dispose()


def text(result: dict[str, Any]) -> str:
    """Tables for people."""
    lines: list[str] = []
    if "speed-up" in result:
        lines += [
            "| study | time on 2 devices / on 1: median (worst) | probes, 2 / 1 | same config | "
            "throughput found, least | probes repeated |",
            "|---|--:|--:|--:|--:|--:|",
        ]
        for title, row in result["speed-up"].items():
            lines.append(
                f"| {title} | {row['ratio_median']} ({row['ratio_worst']}) | "
                f"{row['probes_ratio_median']} | {row['same_config']} | "
                f"{row['throughput_against_one_device_least']} | {row['probes_repeated']} |"
            )
        lines.append("")
    if "scheduling" in result:
        lines += [
            "| database | nodes | studies | statements per decision | commits per decision | "
            "idle: statements per node and round | decisions/s | API p50, p99 (ms) |",
            "|---|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for name, found in result["scheduling"].items():
            lines += [
                f"| {name} | {row['nodes']} | {row['studies']} | {row['statements_per_decision']} "
                f"| {row['commits_per_decision']} | {row['idle_statements_per_node_and_round']} | "
                f"{row['decisions_per_s']} | {row['api']['p50_ms']}, {row['api']['p99_ms']} |"
                for row in found["sizes"]
            ]
        lines.append("")
        lines += [
            f"{name}: {found['per_probe']['statements']} statements and "
            f"{found['per_probe']['commits']} commits per probe. Growth: {found['growth']}."
            for name, found in result["scheduling"].items()
        ]
    return "\n".join(lines) + "\n"
