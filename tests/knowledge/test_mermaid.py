"""Flowcharts: what Mermaid draws is read, what it refuses is named with its line."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowledge.mermaid import parse_flowchart


@pytest.mark.parametrize(
    ("text", "nodes", "links"),
    [
        ("graph TD\n A[One] --> B[Two]", {"A": "One", "B": "Two"}, [("A", "B")]),
        ("flowchart LR; A-->B & C; C-->D", dict(zip("ABCD", "ABCD")),
         [("A", "B"), ("A", "C"), ("C", "D")]),
        ("graph\nA", {"A": "A"}, []),
        ("graph TB\nA & B --> C & D", dict(zip("ABCD", "ABCD")),
         [("A", "C"), ("A", "D"), ("B", "C"), ("B", "D")]),
        ("graph TD\nA --> B --> C", dict(zip("ABC", "ABC")), [("A", "B"), ("B", "C")]),
        ("graph TD\nA -->|yes| B\nA -- no --> C", dict(zip("ABC", "ABC")),
         [("A", "B"), ("A", "C")]),
        ("graph TD\nA -.-> B\nB ==> C\nC --- D", dict(zip("ABCD", "ABCD")),
         [("A", "B"), ("B", "C"), ("C", "D")]),
        ("graph TD\nA((x)) <--> B([y])", {"A": "x", "B": "y"}, [("A", "B")]),
        ("graph TD\nA[[x]] --o B[(y)]\nB --x C{z}\nC --> D{{h}}", dict(zip("ABCD", "xyzh")),
         [("A", "B"), ("B", "C"), ("C", "D")]),
        ('graph TD\nA["x (y) [z]"] --> B', {"A": "x (y) [z]", "B": "B"}, [("A", "B")]),
        ("graph TD\nA[/x/] --> B[\\y\\]", {"A": "x", "B": "y"}, [("A", "B")]),
        ("graph TD\nA --> B\nA[Later]", {"A": "Later", "B": "B"}, [("A", "B")]),
        ("graph TD\n%% a comment\nA:::big --> B\nclassDef big fill:#fff\nstyle B fill:#000",
         {"A": "A", "B": "B"}, [("A", "B")]),
        ("graph TD\nsubgraph one\nA --> B\nend\nB --> C", dict(zip("ABC", "ABC")),
         [("A", "B"), ("B", "C")]),
        ("graph TD\nstep-1[x] --> step-2[y]", {"step-1": "x", "step-2": "y"},
         [("step-1", "step-2")]),
    ],
)  # fmt: skip
def test_flowcharts_are_read(
    text: str, nodes: dict[str, str], links: list[tuple[str, str]]
) -> None:
    chart = parse_flowchart(text)
    assert chart.problems == []
    assert (chart.nodes, chart.links) == (nodes, links)


@pytest.mark.parametrize(
    ("text", "line", "fact"),
    [
        ("", 0, "empty"),
        ("\n  \n", 0, "empty"),
        ("sequenceDiagram\nA->>B: x", 0, "sequenceDiagram"),
        ("graph XY\nA", 0, "graph XY"),
        ("graph TD\nA --> ", 1, "link to nothing"),
        ("graph TD\nA\nB -> C", 2, "not a link"),
        ("graph TD\n--> B", 1, "not a node"),
        ("graph TD\nA[x --> B", 1, "not closed"),
        ('graph TD\nA["x] --> B', 1, "not closed"),
        ("graph TD\nA[x (y)] --> B", 1, "brackets"),
        ("graph TD\nA --> end", 1, "end"),
        ("graph TD\nend", 1, "closes no subgraph"),
        ("graph TD\nsubgraph x\nA", 2, "not closed"),
        ("graph TD\nclick A href 'https://a.org'", 1, "click"),
        ("graph TD\n%%{init: {}}%%\nA", 1, "settings"),
        ('graph TD\nA["<b>x</b>"]', 1, "HTML"),
        ("graph TD\nA & --> B", 1, "not a node"),
    ],
)
def test_what_mermaid_refuses_is_named(text: str, line: int, fact: str) -> None:
    problem = parse_flowchart(text).problems[0]
    assert problem.line == line
    assert fact in problem.message and problem.instead.endswith(".")


def test_a_break_in_a_label_is_allowed() -> None:
    assert parse_flowchart("graph TD\nA[one<br/>two] --> B").problems == []


def test_diagrams_have_a_size_that_can_be_drawn() -> None:
    text = "graph TD\n" + "\n".join(f"A{i} --> A{i + 1}" for i in range(3000))
    chart = parse_flowchart(text)
    assert len(chart.links) == 1000
    assert "1000 statements" in chart.problems[-1].message


def test_a_line_that_connects_too_many_nodes_is_cut_off() -> None:
    line = " & ".join(f"A{i}" for i in range(150))
    chart = parse_flowchart(f"graph TD\n{line} --> {line}\n")
    assert len(chart.links) == 0 and len(chart.problems) == 1


MARKS = ["A", "B", "end", "[", "]", "(", ")", "{", "}", '"', "-->", "---", "-- ", "|x|", "&", ";",
         "\n", " ", ":::c", "subgraph s", "%%", "==>", "-.->", "click A", ">"]  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(MARKS), max_size=40).map("".join))
def test_any_text_is_a_chart_or_has_a_problem(body: str) -> None:
    chart = parse_flowchart(f"graph TD\n{body}")
    assert {name for link in chart.links for name in link} <= set(chart.nodes)
    assert all(0 <= problem.line <= body.count("\n") + 1 for problem in chart.problems)
