"""Differences between evaluated models: a forest plot per task and metric."""

from __future__ import annotations

from app.dashboard.charts.figure import Axis, Figure, Point, ReferenceLine, Series
from finetuning.comparison.result import Comparison, Finding, PairedTest

FOUND = (Finding.BETTER, Finding.WORSE)


def difference_figures(comparison: Comparison) -> list[Figure]:
    """One figure for each metric with an interval; what was found after correction is filled."""
    groups: dict[tuple[str, str], list[PairedTest]] = {}
    for test in comparison.tests:
        if test.difference is not None and test.low is not None and test.high is not None:
            groups.setdefault((test.task, test.metric), []).append(test)
    share = f"{100 * comparison.confidence:.0f} %"
    return [_figure(task, metric, tests, share) for (task, metric), tests in groups.items()]


def _figure(task: str, metric: str, tests: list[PairedTest], share: str) -> Figure:
    first = tests[0]
    names = [_label(test) for test in tests]
    series = []
    for height, test in zip(range(len(tests), 0, -1), tests, strict=True):
        point = Point(test.difference or 0.0, height, test.low, test.high, test.sentence)
        role = "b" if test.finding in FOUND else "a"
        series.append(Series(_label(test), role, [point], across=True))
    return Figure(
        name=f"difference-{task}-{metric}",
        title=f"{task}: difference in {metric.replace('_', ' ')}",
        caption=f"With {share} intervals; {first.direction.value} is better. Diamonds differ "
        "after the correction over all tests.",
        x=Axis("difference", first.unit),
        y=Axis("", categories=tuple(reversed(names)), low=0.4, high=len(tests) + 0.6),
        series=series,
        rules=[ReferenceLine("no difference", "limit", "x", 0.0)],
        height="low",
    )


def _label(test: PairedTest) -> str:
    source = f" ({test.source})" if test.source is not None else ""
    return f"{test.model} − {test.baseline}{source}"
