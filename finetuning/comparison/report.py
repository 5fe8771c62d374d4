"""A comparison as files: one self-contained HTML page, JSON, and two CSV tables.

The page holds its styles, its script and its charts; its policy allows nothing else, so it opens
from a disk or an attachment without a network. Everything is in it without the script too, which
only sorts, filters and switches colours.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from importlib import resources
from pathlib import Path
from typing import Any

from finetuning.comparison import charts
from finetuning.comparison.result import Comparison, ModelFigure, PairedTest
from finetuning.comparison.sentences import p_text, value_text
from probes.formatting import plural

ASSETS = resources.files("finetuning.comparison") / "page"
HTML, JSON, TESTS, FIGURES = "report.html", "comparison.json", "tests.csv", "figures.csv"
NOT_IN_CSV = ("pairs",)


@dataclass(frozen=True)
class ShownTest:
    """A test with its two charts."""

    test: PairedTest
    scatter: charts.Scatter | None
    histogram: charts.Histogram | None


def write(comparison: Comparison, folder: str | Path) -> dict[str, Path]:
    """Write ``report.html``, ``comparison.json``, ``tests.csv`` and ``figures.csv``.

    Makes the folder where it is missing. Each file appears complete or not at all.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    texts = {
        HTML: html(comparison),
        JSON: comparison.to_json(),
        TESTS: csv_of_tests(comparison),
        FIGURES: csv_of_figures(comparison),
    }
    for name, text in texts.items():
        partial = target / f".{name}.partial"
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(target / name)
    return {name: target / name for name in texts}


def csv_of_tests(comparison: Comparison) -> str:
    """One line per test, with a header; what is not known is empty."""
    return _csv(PairedTest, comparison.tests)


def csv_of_figures(comparison: Comparison) -> str:
    """One line per model, task, metric and source."""
    return _csv(ModelFigure, comparison.figures)


def html(comparison: Comparison) -> str:
    """The text of the page."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        value=value_text, p=p_text, words=lambda name: str(name).replace("_", " "), plural=plural
    )
    style, script = _asset("report.css"), _asset("report.js")
    models = [run.name for run in comparison.runs]
    shown = [
        ShownTest(test, charts.scatter(f"s{n}", test), charts.histogram(f"h{n}", test))
        for n, test in enumerate(comparison.tests)
    ]
    return environment.from_string(_asset("report.html.jinja")).render(
        comparison=comparison,
        policy=(
            f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
            "img-src data:; base-uri 'none'; form-action 'none'"
        ),
        style=style,
        script=script,
        effects=charts.effect_chart(comparison.tests),
        differences=_difference_charts(comparison),
        sources=_source_charts(comparison, models),
        shown=shown,
        finding_words=charts.FINDING_WORDS,
        side=charts.SIDE,
        labels=charts.LABELS,
        row=charts.ROW,
        edge=charts.EDGE,
    )


def _difference_charts(comparison: Comparison) -> list[charts.RowChart]:
    grouped: dict[tuple[str, str], list[PairedTest]] = {}
    for test in comparison.tests:
        grouped.setdefault((test.task, test.metric), []).append(test)
    made = (charts.difference_chart(f"d{n}", tests) for n, tests in enumerate(grouped.values()))
    return [chart for chart in made if chart is not None]


def _source_charts(comparison: Comparison, models: list[str]) -> list[charts.RowChart]:
    """One chart per metric that has several sources."""
    grouped: dict[tuple[str, str], list[ModelFigure]] = {}
    for figure in comparison.figures:
        grouped.setdefault((figure.task, figure.metric), []).append(figure)
    return [
        charts.figure_chart(f"f{n}", figures, models)
        for n, figures in enumerate(grouped.values())
        if any(f.source is not None for f in figures) and any(f.value is not None for f in figures)
    ]


def _csv(kind: type[Any], records: Sequence[Any]) -> str:
    columns = [name for name in kind.__dataclass_fields__ if name not in NOT_IN_CSV]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    for record in records:
        writer.writerow({name: _cell(value) for name, value in asdict(record).items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    """A value as a cell; a text that a spreadsheet would run as a formula is quoted."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return "" if value is None else value


def _asset(name: str) -> str:
    text = (ASSETS / name).read_text(encoding="utf-8")
    if name.endswith((".css", ".js")) and "</" in text:
        raise AssertionError(f"{name} would end the element that contains it.")
    return text


def _hash(text: str) -> str:
    """The source of an inline text, as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
