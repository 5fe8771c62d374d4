"""The graph of pages: forward edges, neighbourhoods, circles, and what other tools read."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import networkx
import pytest

from knowledge.errors import UnknownPageError
from knowledge.graph import Graph, GraphEdge
from knowledge.mermaid import parse_flowchart
from tests.knowledge import pages


@pytest.fixture(scope="module")
def graph() -> Graph:
    return Graph(pages.library())


def test_a_backlink_is_the_edge_that_it_answers(graph: Graph) -> None:
    assert GraphEdge(
        "Implementation:Trainer_Train", "requires_env", "Environment:Core_Environment"
    ) in (graph.edges)
    assert len(graph.edges) == 8
    heuristic = "Heuristic:Gradient_Checkpointing"
    assert sum(edge.target == heuristic for edge in graph.edges) == 3
    assert not any(edge.source == heuristic for edge in graph.edges)


def test_implements_answers_implemented_by() -> None:
    text = pages.IMPLEMENTATION + "* [[implements::Principle:Adapter_Training]]\n"
    assert Graph(pages.changed(pages.IMPLEMENTATION_FILE, text)).edges == (
        Graph(pages.library()).edges
    )


def test_pages_that_are_missing_are_nodes_too() -> None:
    text = pages.PRINCIPLE.replace("Implementation:Trainer_Train", "Tool:X")
    nodes = {
        node.full_name: node for node in Graph(pages.changed(pages.PRINCIPLE_FILE, text)).nodes
    }
    assert nodes["Tool:X"].exists is False and nodes["Tool:X"].type == ""
    assert nodes["Principle:Adapter_Training"].exists is True


def test_a_neighbourhood_ends_at_its_depth(graph: Graph) -> None:
    near = graph.neighbourhood("Environment:Core_Environment", 1)
    assert [node.full_name for node in near.nodes] == [
        "Environment:Core_Environment",
        "Implementation:Trainer_Train",
    ]
    alone = graph.neighbourhood("Environment:Core_Environment", 0)
    assert len(alone.nodes) == 1 and alone.edges == []
    assert len(graph.neighbourhood("Environment:Core_Environment", 9).nodes) == 6


def test_a_neighbourhood_of_no_page_is_an_error(graph: Graph) -> None:
    with pytest.raises(UnknownPageError):
        graph.neighbourhood("Heuristic:Nothing")


def test_circles_are_found() -> None:
    text = pages.PRINCIPLE.replace("Implementation:Trainer_Train", "Principle:Adapter_Training")
    graph = Graph(pages.changed(pages.PRINCIPLE_FILE, text))
    assert graph.cycles(["implemented_by"]) == [["Principle:Adapter_Training"]]
    assert graph.cycles(["step"]) == []


def test_json_lists_nodes_and_edges(graph: Graph) -> None:
    document = json.loads(graph.to_json())
    assert len(document["nodes"]) == 6 and len(document["edges"]) == 8
    assert document["edges"][0].keys() == {"source", "kind", "target"}


def test_mermaid_is_read_as_the_same_graph(graph: Graph) -> None:
    chart = parse_flowchart(graph.to_mermaid())
    assert chart.problems == []
    assert len(chart.nodes) == 6 and len(chart.links) == 8
    assert "heuristic: Gradient Checkpointing" in chart.nodes.values()


def test_graphml_is_read_by_networkx(graph: Graph) -> None:
    read = networkx.parse_graphml(graph.to_graphml())
    assert read.number_of_nodes() == 6 and read.number_of_edges() == 8
    assert read.nodes["Workflow:QLoRA_Finetuning"]["type"] == "workflow"


def test_dot_quotes_every_name(graph: Graph) -> None:
    lines = graph.to_dot().split("\n")
    assert lines[0] == "digraph knowledge {" and lines[-2] == "}"
    assert sum("->" in line for line in lines) == 8


@pytest.mark.parametrize(
    "name", ['A"]; B', "A]]>B", "A<script>", "A\\", "A%%B", "Ünïcode", "A\x1bB"]
)
def test_hostile_names_break_no_format(name: str) -> None:
    text = pages.PRINCIPLE.replace("Implementation:Trainer_Train", f"Implementation:{name}")
    graph = Graph(pages.changed(pages.PRINCIPLE_FILE, text))
    ElementTree.fromstring(graph.to_graphml())
    json.loads(graph.to_json())
    assert parse_flowchart(graph.to_mermaid()).problems == []
    for line in graph.to_dot().split("\n"):
        assert line.replace("\\\\", "").replace('\\"', "").count('"') % 2 == 0


def test_the_same_library_gives_the_same_output() -> None:
    library = pages.library(dict(reversed(pages.FILES.items())))
    assert Graph(library).to_mermaid() == Graph(pages.library()).to_mermaid()
