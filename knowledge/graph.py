"""The pages as a graph of typed edges, and the formats that other tools draw it from."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Self

import networkx  # type: ignore[import-untyped]

from knowledge.errors import UnknownPageError
from knowledge.library import Library
from knowledge.model import Page
from knowledge.schema import BACKLINKS, NEWER_KINDS, is_backlink


@dataclass(frozen=True)
class GraphNode:
    """A page, or a page that is linked to but does not exist."""

    full_name: str
    type: str
    """As in :class:`knowledge.model.PageType`; empty for a type that does not exist."""
    name: str
    exists: bool
    overview: str = ""


@dataclass(frozen=True)
class GraphEdge:
    """An edge in its forward direction: a workflow uses a heuristic, never the other way."""

    source: str
    kind: str
    target: str


class Graph:
    """The edges of a library; a backlink is the forward edge that it answers.

    Nodes and edges are sorted, so that the same library always gives the same output.
    """

    def __init__(self, library: Library) -> None:
        graph = networkx.MultiDiGraph()
        for full_name, page in library.pages.items():
            graph.add_node(full_name, node=_node(page))
        for edge in sorted(set(_edges(library)), key=_order):
            for name in (edge.source, edge.target):
                if name not in graph:
                    graph.add_node(name, node=_missing(name))
            graph.add_edge(edge.source, edge.target, key=edge.kind)
        self._graph = graph

    @property
    def nodes(self) -> list[GraphNode]:
        """Sorted by full name."""
        return [self._graph.nodes[name]["node"] for name in sorted(self._graph)]

    @property
    def edges(self) -> list[GraphEdge]:
        """Sorted by source, kind and target."""
        found = [
            GraphEdge(source, kind, target) for source, target, kind in self._graph.edges(keys=True)
        ]
        return sorted(found, key=_order)

    def neighbourhood(self, full_name: str, depth: int = 1) -> Self:
        """The part of the graph that is at most ``depth`` edges away, in either direction.

        Raises:
            UnknownPageError: the graph has no such page.
        """
        if full_name not in self._graph:
            raise UnknownPageError(full_name)
        names = networkx.ego_graph(self._graph, full_name, radius=max(0, depth), undirected=True)
        return self._part(names)

    def cycles(self, kinds: Collection[str]) -> list[list[str]]:
        """The groups of pages that lead to each other by edges of these kinds, each sorted."""
        part = networkx.DiGraph()
        part.add_edges_from((e.source, e.target) for e in self.edges if e.kind in kinds)
        groups = [sorted(group) for group in networkx.strongly_connected_components(part)]
        return sorted(g for g in groups if len(g) > 1 or part.has_edge(g[0], g[0]))

    def to_json(self) -> str:
        """An object with ``nodes`` and ``edges``."""
        document: dict[str, Any] = {
            "nodes": [vars(node) for node in self.nodes],
            "edges": [vars(edge) for edge in self.edges],
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    def to_mermaid(self) -> str:
        """A flowchart; pages that do not exist have a dashed border."""
        names = {node.full_name: f"n{index}" for index, node in enumerate(self.nodes)}
        lines = ["graph LR"]
        for node in self.nodes:
            label = f"{node.type or '?'}: {node.name.replace('_', ' ')}"
            lines.append(f'    {names[node.full_name]}["{_mermaid_text(label)}"]')
        for edge in self.edges:
            kind = _mermaid_text(edge.kind)
            lines.append(f"    {names[edge.source]} -->|{kind}| {names[edge.target]}")
        missing = [names[node.full_name] for node in self.nodes if not node.exists]
        if missing:
            lines.append("    classDef missing stroke-dasharray: 5 5")
            lines.append(f"    class {','.join(missing)} missing")
        return "\n".join(lines) + "\n"

    def to_dot(self) -> str:
        """A directed graph for Graphviz."""
        lines = ["digraph knowledge {", "    rankdir=LR;", "    node [shape=box];"]
        for node in self.nodes:
            style = "" if node.exists else ", style=dashed"
            label = _quoted(f"{node.type or '?'}\n{node.name}")
            lines.append(f"    {_quoted(node.full_name)} [label={label}{style}];")
        for edge in self.edges:
            ends = f"{_quoted(edge.source)} -> {_quoted(edge.target)}"
            lines.append(f"    {ends} [label={_quoted(edge.kind)}];")
        return "\n".join([*lines, "}"]) + "\n"

    def to_graphml(self) -> str:
        """XML for graph tools like Gephi or yEd."""
        plain = networkx.MultiDiGraph()
        for node in self.nodes:
            fields = {key: value for key, value in vars(node).items() if key != "full_name"}
            plain.add_node(
                _xml_text(node.full_name),
                **{k: _xml_text(v) if isinstance(v, str) else v for k, v in fields.items()},
            )
        for edge in self.edges:
            plain.add_edge(
                _xml_text(edge.source), _xml_text(edge.target), kind=_xml_text(edge.kind)
            )
        buffer = io.BytesIO()
        networkx.write_graphml_xml(plain, buffer, encoding="utf-8", prettyprint=True)
        return buffer.getvalue().decode("utf-8")

    def _part(self, names: Collection[str]) -> Self:
        part = object.__new__(type(self))
        part._graph = self._graph.subgraph(names).copy()
        return part


def _node(page: Page) -> GraphNode:
    return GraphNode(page.full_name, page.type.value, page.name, True, page.overview)


def _missing(full_name: str) -> GraphNode:
    namespace, _, name = full_name.partition(":")
    known = namespace.lower() if namespace.lower() in _TYPES else ""
    return GraphNode(full_name, known, name, False)


_TYPES = {"heuristic", "workflow", "environment", "principle", "implementation"}


def _edges(library: Library) -> Iterator[GraphEdge]:
    for page in library.pages.values():
        for edge in page.edges:
            kind = NEWER_KINDS.get(edge.kind, edge.kind)
            other = f"{edge.target_type}:{edge.target}"
            if is_backlink(page.type, kind):
                yield GraphEdge(other, BACKLINKS[page.type, kind], page.full_name)
            else:
                yield GraphEdge(page.full_name, kind, other)


def _order(edge: GraphEdge) -> tuple[str, str, str]:
    return (edge.source, edge.kind, edge.target)


def _mermaid_text(text: str) -> str:
    """Text for a quoted label; Mermaid writes special characters as ``#code;``."""
    return "".join(c if c.isalnum() or c in " _-.:,/()?" else f"#{ord(c)};" for c in text)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _xml_text(text: str) -> str:
    """``text`` without the characters that XML 1.0 cannot carry."""
    return "".join(
        c
        for c in text
        if c in "\t\n" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c >= "\U00010000"
    )
