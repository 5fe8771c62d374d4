"""Replay every method on every grid, many seeds each, and write one table and one plot."""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.record import write
from benchmarks.search import grids
from benchmarks.search.contenders import METHODS
from benchmarks.search.grids import Grid, Question, Replay
from optimizer.budgets import Objective
from probes.measurement import Config

NEAR_BEST = 0.98
"""A search has arrived when what it confirmed is within 2 % of the exhaustive best."""
NEAR_MAX_BATCH = 0.97
"""With capacity as the objective: at a batch within the resolution of that model's maximum."""
WINDOW = 0.5
"""Fraction of the median step time at the maximum batch that a step may take."""
FITTING = 0.4
"""With capacity as the objective: the window is such that this share of the configs meets it with
one sample. The best is then neither the smallest nor the largest model."""


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks search", description=__doc__)
    parser.add_argument("--measure", metavar="GRID", help="measure this grid first (or go on)")
    parser.add_argument("--seeds", type=int, default=30)
    parser.add_argument("--grids", nargs="*", default=sorted(p.stem for p in grids.DATA.glob("*")))
    parser.add_argument("--questions", nargs="*", default=list(QUESTIONS), choices=list(QUESTIONS))
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    asked = parser.parse_args(arguments)
    if asked.measure:
        from benchmarks.search.measure import measure

        print(f"measured: {measure(asked.measure)}")
        return
    result: dict[str, Any] = {}
    for which in asked.grids:
        measured = grids.load(which)
        for title in asked.questions:
            question = QUESTIONS[title](measured)
            rows = {
                method: _summary(measured, method, asked.seeds, question)
                for method in asked.methods
            }
            result[f"{which}, {title}"] = rows
            print(_table(f"{which}, {title}", rows), flush=True)
    file = write("search", result)
    text = "\n".join(_table(title, rows) for title, rows in result.items())
    file.with_suffix(".md").write_text(text)
    _plot(result, str(file.with_suffix(".svg")))
    print(f"written to {file}")


def _narrow_step_s(measured: Grid) -> float:
    with_one_sample = sorted(measured.step_s(config, 1) for config in measured.configs)
    return with_one_sample[int(FITTING * len(with_one_sample))]


def _usual_step_s(measured: Grid) -> float:
    """Median over the configs of the step time at the maximum batch."""
    steps = []
    for config in measured.configs:
        batch_size = measured.max_batch(config, None)
        if batch_size:
            steps.append(measured.step_s(config, batch_size))
    return statistics.median(steps)


QUESTIONS: dict[str, Callable[[Grid], Question]] = {
    "no window": lambda measured: Question(None),
    "window": lambda measured: Question(WINDOW * _usual_step_s(measured)),
    "largest model in a window": lambda measured: Question(
        _narrow_step_s(measured), Objective.CAPACITY
    ),
}


def _summary(measured: Grid, method: str, seeds: int, question: Question) -> dict[str, Any]:
    is_best = _best(measured, question)
    replays = [METHODS[method](measured, seed, question) for seed in range(seeds)]
    arrivals = [_arrival(replay, is_best) for replay in replays]
    spent = [a[0] if a else r.device_s for a, r in zip(arrivals, replays)]
    probes = [a[1] if a else r.probes for a, r in zip(arrivals, replays)]
    return {
        "arrived": sum(a is not None for a in arrivals) / seeds,
        "device_s": _quartiles(spent),
        "probes": _quartiles(probes),
        "device_s_at_the_end": _quartiles([r.device_s for r in replays]),
        "probes_at_the_end": _quartiles([r.probes for r in replays]),
    }


def _best(measured: Grid, question: Question) -> Callable[[Config, int], bool]:
    """Whether a confirmed config and batch answer the question."""
    longest_step_s = question.longest_step_s
    most_capacity = max(measured.capacity(c, longest_step_s) for c in measured.configs)
    most_throughput = max(measured.throughput(c, longest_step_s) for c in measured.configs)

    def is_best(config: Config, batch_size: int) -> bool:
        step_s = measured.step_s(config, batch_size)
        if longest_step_s is not None and step_s > longest_step_s:
            return False
        if question.objective is Objective.CAPACITY:
            enough = NEAR_MAX_BATCH * measured.max_batch(config, longest_step_s)
            capacity = measured.capacity(config, longest_step_s)
            return capacity == most_capacity and batch_size >= enough
        return batch_size / step_s >= NEAR_BEST * most_throughput

    return is_best


def _arrival(replay: Replay, is_best: Callable[[Config, int], bool]) -> tuple[float, int] | None:
    """(device seconds, probes) when the best was first confirmed; ``None`` if it never was."""
    for device_s, probes, config, batch_size in replay.confirmed:
        if is_best(config, batch_size):
            return device_s, probes
    return None


def _quartiles(values: Sequence[float]) -> list[float]:
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return [round(low, 2), round(middle, 2), round(high, 2)]


def _table(title: str, rows: dict[str, Any]) -> str:
    lines = [
        f"**{title}** (median, quartiles)",
        "",
        "| method | arrived | device s to arrive | probes | device s until it stops | probes |",
        "|---|---|---|---|---|---|",
    ]
    for method, row in rows.items():
        cells = [
            f"{q[1]:.4g} ({q[0]:.4g}–{q[2]:.4g})"
            for q in (
                row["device_s"],
                row["probes"],
                row["device_s_at_the_end"],
                row["probes_at_the_end"],
            )
        ]
        lines.append(f"| {method} | {row['arrived']:.0%} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _plot(result: dict[str, Any], file: str) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(result), figsize=(4 * len(result), 3.2), squeeze=False)
    for axis, (title, rows) in zip(axes[0], result.items()):
        names = list(rows)[::-1]
        middle = [rows[name]["device_s"][1] for name in names]
        low = [m - rows[name]["device_s"][0] for m, name in zip(middle, names)]
        high = [rows[name]["device_s"][2] - m for m, name in zip(middle, names)]
        axis.barh(names, middle, xerr=[low, high], color="#4477aa", ecolor="#222222", capsize=2)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("device seconds to arrive")
    figure.tight_layout()
    figure.savefig(file)
