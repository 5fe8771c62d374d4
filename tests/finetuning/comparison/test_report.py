"""The page, and the tables beside it."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from finetuning.comparison import charts
from finetuning.comparison.compare import compare
from finetuning.comparison.report import csv_of_figures, csv_of_tests, html, write
from tests.finetuning.comparison.made import PERPLEXITY, SCORE, rows, write_run

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    rng = np.random.default_rng(1)
    game, tokens = rng.gamma(6, 3, 20), rng.integers(5, 50, 20)
    runs = []
    for name, gain in (("base", 0.0), ("lora", 6.0), ("=full", 0.2)):
        noise = rng.normal(0, 1, 20)
        tasks = {
            "snake": (
                (SCORE,),
                rows("snake", {"score": game + gain + noise}, sources=("8x8", HOSTILE)),
            ),
            "language": (
                (PERPLEXITY,),
                rows("language", {"nll": 2 + noise / 20 - gain / 10, "tokens": tokens}),
            ),
        }
        runs.append(write_run(folder / name, tasks, noun="game"))
    return compare(*runs, baseline="base", by_source=True, resamples=499)


class Page(HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def test_the_page_asks_nobody_for_anything(comparison):
    text = html(comparison)
    page = Page(text)
    assert not re.findall(r"(?:https?:)?//[a-z]", text)
    assert [link["href"] for link in page.all("link")] == ["data:,"]
    assert not [element for element in page.elements if "src" in element[1]]
    policy = next(m["content"] for m in page.all("meta") if "http-equiv" in m)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert not [element for element in page.elements if "style" in element[1]]


def test_every_test_stands_on_the_page_in_words_and_in_the_table(comparison):
    page = Page(html(comparison))
    for sentence in comparison.sentences:
        assert sentence in page.text
    assert sum("data-test" in row for row in page.all("tr")) == len(comparison.tests) == 8


def test_names_are_shown_and_never_run(comparison):
    page = Page(html(comparison))
    assert len(page.all("script")) == 1
    assert HOSTILE in "".join(page.text)


def test_every_chart_has_a_title_that_it_refers_to(comparison):
    page = Page(html(comparison))
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    drawings = page.all("svg")
    assert len(drawings) == 2 + 1 + 1 + 2 * 8
    for drawing in drawings:
        assert drawing["role"] == "img"
        assert set(drawing["aria-labelledby"].split()) <= ids
    assert len(ids) == sum("id" in attributes for _, attributes in page.elements)


def test_every_table_has_a_caption_and_its_heads_a_scope(comparison):
    page = Page(html(comparison))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all("scope" in head for head in page.all("th"))


def test_marks_stand_where_their_numbers_say(comparison):
    tests = [t for t in comparison.tests if t.metric == "score" and t.source is None]
    chart = charts.difference_chart("d", tests)
    assert (chart.left_says, chart.right_says) == ("worse", "better")
    by_look = {row.look: row for row in chart.rows}
    better = by_look["better"]
    assert chart.zero_x < better.low_x < better.x < better.high_x
    ticks = {float(tick.text): tick.at for tick in chart.ticks}
    (a, b), test = sorted(ticks)[-2:], tests[0]
    per_unit = (ticks[b] - ticks[a]) / (b - a)
    assert better.x == pytest.approx(chart.zero_x + test.difference * per_unit, abs=0.1)


def test_effects_are_turned_so_that_better_is_to_the_right(comparison):
    chart = charts.effect_chart(comparison.tests)
    better = [row for row in chart.rows if row.look == "better"]
    assert len(better) == 4
    assert all(row.x > chart.zero_x for row in better)


def test_the_histogram_counts_every_group_once(comparison):
    test = comparison.tests[0]
    bars = charts.histogram("h", test).bars
    assert sum(int(bar.title.split()[0]) for bar in bars) == len(test.pairs) == 20


@pytest.mark.parametrize("low, high", [(0, 1), (-3.2, 0.1), (1e-4, 3e-4), (0, 48_000), (5.1, 5.2)])
def test_ticks_are_round_numbers_within_the_scale(low, high):
    ticks = charts.Scale(low, high, 0, 100).ticks()
    assert 3 <= len(ticks) <= 7
    values = [float(tick.text.replace("−", "-").replace(",", "")) for tick in ticks]
    assert all(low - 1e-12 <= value <= high + 1e-12 for value in values)
    assert len(set(values)) == len(values)


def test_a_chart_of_one_value_has_a_range(tmp_path):
    same = [
        write_run(tmp_path / name, {"snake": ((SCORE,), rows("snake", {"score": np.full(8, 5.0)}))})
        for name in "ab"
    ]
    assert "equal" in html(compare(*same))


def test_the_page_is_drawn_where_nothing_can_be_told(tmp_path):
    few = [
        write_run(tmp_path / name, {"snake": ((SCORE,), rows("snake", {"score": [float(n)]}))})
        for n, name in enumerate("ab")
    ]
    assert "cannot tell" in html(compare(*few))


def test_a_table_has_one_line_per_test_with_the_numbers_as_they_are(comparison):
    lines = list(csv.DictReader(io.StringIO(csv_of_tests(comparison))))
    assert len(lines) == 8
    assert float(lines[0]["difference"]) == comparison.tests[0].difference
    assert lines[0]["finding"] == comparison.tests[0].finding.value
    assert len(list(csv.DictReader(io.StringIO(csv_of_figures(comparison))))) == len(
        comparison.figures
    )


def test_a_name_that_a_spreadsheet_would_compute_is_a_text(comparison):
    models = {line["model"] for line in csv.DictReader(io.StringIO(csv_of_tests(comparison)))}
    assert models == {"lora", "'=full"}


def test_four_files_are_written_and_nothing_else(comparison, tmp_path):
    files = write(comparison, tmp_path / "new" / "report")
    assert sorted(files) == ["comparison.json", "figures.csv", "report.html", "tests.csv"]
    assert sorted(path.name for path in (tmp_path / "new/report").iterdir()) == sorted(files)
    assert json.loads(files["comparison.json"].read_text())["tests_corrected"] == 8
