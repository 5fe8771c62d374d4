"""Both parts, their tables and the dated result."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.false_safe import leak_rule, real, scripted
from benchmarks.record import write
from probes.stability import LOOKAHEAD


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks false_safe", description="The false-safe rate of the max-batch search."
    )
    parser.add_argument(
        "--scripted", type=int, default=150, metavar="N", help="scripted searches per family"
    )
    parser.add_argument(
        "--confirmations",
        type=int,
        default=1000,
        metavar="N",
        help="single scripted confirmations for each way in which memory varies without a leak",
    )
    parser.add_argument(
        "--searches", type=int, default=75, metavar="N", help="real searches; 0 for none"
    )
    parser.add_argument(
        "--work", type=Path, default=real.WORK_FILE, help="where real outcomes are kept and resumed"
    )
    asked = parser.parse_args(arguments)
    result: dict[str, Any] = {
        "scripted": scripted.run_all(asked.scripted),
        "leak_rule": leak_rule.run(asked.confirmations),
    }
    if asked.searches:
        result["real"] = real.summary(real.run(asked.work, asked.searches))
    text = markdown(result)
    file = write("false_safe", result)
    file.with_suffix(".md").write_text(text)
    print(f"\n{text}\nwritten to {file} and {file.with_suffix('.md').name}")


def markdown(result: dict[str, Any]) -> str:
    simulated = result["scripted"]
    parts = [
        f"**Scripted: {_rate(simulated['total'])}; "
        f"{simulated['total']['false_leaks']} false leaks**",
        _table("family", FAMILY_COLUMNS, simulated["goal"]),
        "What no run of finite length can see, because it first happens afterwards:",
        _table("family", LIMIT_COLUMNS, simulated["limits"]),
    ]
    if "leak_rule" in result:
        rule = result["leak_rule"]
        total = rule["total"]
        parts += [
            f"**Single confirmations: {total['false_leaks']} of {total['probes']} without a leak "
            f"were called one (95 % upper bound {total['upper_bound_95']:.3%}); "
            f"{total['silent']} of {total['leaking']} with a leak passed without a word**",
            _table("what varies, no leak", RULE_COLUMNS, rule["without"]),
            _table("what varies, leaks", LEAK_COLUMNS, rule["with"]),
        ]
    if "real" in result:
        measured = result["real"]
        parts += [
            f"**Real CPU workers: {_rate(measured['total'])}, "
            f"{measured['total']['longer_steps']} steps in the longer runs**",
            _table("workload", WORKLOAD_COLUMNS, measured["by_workload"]),
        ]
        parts += [f"- {f['case']}: batch {f['max_batch']}, {f['why']}" for f in measured["failed"]]
    return "\n\n".join(parts) + "\n"


FAMILY_COLUMNS = {
    "searches": "searches",
    "recommended": "recommended",
    "false_safe": "failed later",
    "false_leaks": "false leaks",
    "upper_bound_95": "95 % upper bound",
    "found_over_true": "found / true",
    "probes": "probes",
    "samples_over_floor": "samples / floor",
}
LIMIT_COLUMNS = {key: title for key, title in FAMILY_COLUMNS.items() if key != "found_over_true"}
LEAK_COLUMNS = {
    "runs": "confirmations",
    "leak": "leak",
    "oom": "out of memory",
    "told": "stable, with a note",
    "outlasts": f"stable; the memory lasts for {LOOKAHEAD} × its steps",
    "silent": "stable, no note",
    "steps": "steps, median",
    "most_steps": "most steps",
}
RULE_COLUMNS = {key: title for key, title in LEAK_COLUMNS.items() if key != "outlasts"}
WORKLOAD_COLUMNS = {
    key: FAMILY_COLUMNS.get(key, key)
    for key in ("searches", "recommended", "false_safe", "leaks", "upper_bound_95", "probes")
}


def _rate(total: dict[str, Any]) -> str:
    return (
        f"{total['false_safe']} of {total['recommended']} recommendations failed later "
        f"(95 % upper bound {total['upper_bound_95']:.2%}; {total['searches']} searches)"
    )


def _table(first: str, columns: dict[str, str], rows: dict[str, dict[str, Any]]) -> str:
    lines = [f"| {' | '.join([first, *columns.values()])} |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        cells = [_cell(key, row[key]) for key in columns]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


def _cell(key: str, value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.2%}" if key == "upper_bound_95" else f"{value:g}"
