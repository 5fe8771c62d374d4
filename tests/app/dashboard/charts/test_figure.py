from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from app.dashboard.charts.figure import (
    Axis,
    Figure,
    Point,
    ReferenceLine,
    Series,
    number_text,
    script_json,
)


def figure(**changes) -> Figure:
    made = {
        "name": "memory",
        "title": "Memory",
        "caption": "",
        "x": Axis("batch size"),
        "y": Axis("peak memory", "GiB"),
        "series": [
            Series("confirmed", "confirmed", [Point(8, 1.5, 1.25, 1.75, note="24 steps")]),
            Series("predicted", "prediction", [Point(1, 1), Point(9, 2)], line=True, listed=False),
        ],
        "rules": [ReferenceLine("limit", "limit", "y", 2.0)],
    }
    return Figure(**{**made, **changes})


class TestJson:
    def test_nothing_in_the_data_ends_the_script_it_stands_in(self):
        evil = "</script><script>alert(1)</script><!-- ]]> \u2028"
        text = figure(series=[Series(evil, "passed", [Point(1, 1, note=evil)])]).to_json()
        assert not set("<>&\u2028") & set(text)
        assert json.loads(text)["series"][0]["note"] == [evil]

    @given(st.text())
    def test_any_text_comes_back_as_it_was(self, text):
        written = script_json({"text": text})
        assert "<" not in written
        assert json.loads(written) == {"text": text}

    def test_what_is_not_finite_is_null(self):
        points = [Point(1, math.nan), Point(2, 1.0, -math.inf, math.inf)]
        series = json.loads(figure(series=[Series("a", "passed", points)]).to_json())["series"][0]
        assert series["y"] == [None, 1.0]
        assert series["low"] == [None, None]

    def test_no_more_digits_than_can_be_seen(self):
        series = figure(series=[Series("a", "passed", [Point(123456, 1 / 3)])]).to_dict()["series"]
        assert (series[0]["x"], series[0]["y"]) == ([123456], [0.33333])


class TestTable:
    def test_it_says_what_the_chart_shows_but_not_its_curves(self):
        table = figure().table()
        assert table.header == ["", "batch size", "peak memory [GiB]", "interval", "note"]
        assert table.rows == [
            ["confirmed", "8", "1.5", "1.25 to 1.75", "24 steps"],
            ["limit", "", "2", "", ""],
        ]

    def test_a_rule_too_far_to_be_drawn_is_in_the_table(self):
        far = figure(rules=[], also=[ReferenceLine("limit", "limit", "y", 141.0)])
        assert ["limit", "", "141", "", ""] in far.table().rows
        assert far.to_dict()["rules"] == []

    def test_categories_are_named(self):
        bars = [Series("A", "a", [Point(10, 2, 9, 11)], across=True)]
        made = figure(y=Axis("", categories=("B", "A")), series=bars, rules=[])
        assert made.table().rows == [["A", "10", "A", "9 to 11", ""]]


def test_the_legend_names_each_look_once():
    points = [Point(1, 1)]
    twice = [Series("out of memory", "oom", points), Series("out of memory", "oom", points)]
    assert [entry.name for entry in figure(series=twice).legend()] == ["out of memory", "limit"]
    assert figure(series=twice[:1], rules=[]).legend() == []


def test_a_chart_without_points_is_empty():
    assert figure(series=[]).is_empty
    assert not figure().is_empty


def test_numbers_are_read_without_an_exponent():
    read = [number_text(value) for value in (0, 1234567.0, 12.3456, 0.000123456, 100.0, math.inf)]
    assert read == ["0", "1,234,567", "12.35", "0.0001235", "100", "–"]
