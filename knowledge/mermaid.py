"""The part of Mermaid that execution diagrams use: flowcharts of nodes and links.

Diagrams are drawn by Mermaid itself; this reads them far enough to tell whether they are well
formed, which nodes they have and how those are connected.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

MAX_STATEMENTS = 1000
MAX_LABEL_CHARACTERS = 500
MAX_NODES_IN_STATEMENT = 200

_HEADER = re.compile(r"(?:graph|flowchart)(?:[ \t]+(?P<direction>TB|TD|BT|RL|LR))?\s*\Z")
_STATEMENT = re.compile(
    r"(?:subgraph|end|direction|classDef|class|style|linkStyle|accTitle|accDescr)\b"
)
_CLICK = re.compile(r"(?:click|href|call)\b")
_ID = re.compile(r"[^\W_](?:\w|-(?=[^\W_]))*", re.UNICODE)
_CLASS = re.compile(r":::[\w-]+")
_SHAPES = (
    ("(((", ")))"),
    ("((", "))"),
    ("([", "])"),
    ("[[", "]]"),
    ("[(", ")]"),
    ("[/", "/]", "\\]"),
    ("[\\", "\\]", "/]"),
    ("{{", "}}"),
    ("[", "]"),
    ("(", ")"),
    ("{", "}"),
    (">", "]"),
)
_LINK = re.compile(r"[<ox]?(?:--+(?:[->ox]|(?=\|))|==+[=>ox]|-\.+-[>ox]?|~~~+)")
_OPEN_LINK = re.compile(
    r"[<ox]?(?:--|==|-\.)\s*[^\s\n>|=.\-][^\n]{0,200}?\s*(?:--+[->ox]|==+[=>ox]|\.+-[>ox]?)"
)
_LINK_TEXT = re.compile(r"\|[^|\n]{0,200}\|")


@dataclass(frozen=True)
class MermaidProblem:
    """What Mermaid would refuse; ``line`` counts from 0 at the first line of the diagram."""

    line: int
    message: str
    instead: str


@dataclass
class Flowchart:
    """A flowchart as far as it could be read."""

    direction: str = ""
    nodes: dict[str, str] = field(default_factory=dict)
    """Labels by identifier, in the order of their first occurrence."""
    lines: dict[str, int] = field(default_factory=dict)
    """Line of the first occurrence of each node."""
    decisions: set[str] = field(default_factory=set)
    """The nodes in braces, at which the flow branches."""
    links: list[tuple[str, str]] = field(default_factory=list)
    problems: list[MermaidProblem] = field(default_factory=list)


def parse_flowchart(text: str) -> Flowchart:
    """The flowchart in ``text``, which begins with ``graph TD`` or ``flowchart LR``."""
    chart = Flowchart()
    _refuse_directives(chart, text)
    statements = _statements(text)
    if not statements:
        chart.problems.append(MermaidProblem(0, "The diagram is empty.", "Begin it with graph TD."))
        return chart
    line, header = statements[0]
    match = _HEADER.match(header)
    if match is None:
        chart.problems.append(
            MermaidProblem(
                line,
                f"The diagram begins with {header[:40]!r}.",
                "Begin it with graph TD, or flowchart and one of TD, TB, BT, LR, RL.",
            )
        )
        return chart
    chart.direction = match["direction"] or "TB"
    depth = 0
    for line, statement in statements[1 : MAX_STATEMENTS + 1]:
        if _STATEMENT.match(statement):
            depth += statement.startswith("subgraph")
            depth -= statement == "end"
            if depth < 0:
                depth = 0
                chart.problems.append(
                    MermaidProblem(line, "An end closes no subgraph.", "Remove it.")
                )
        elif _CLICK.match(statement):
            chart.problems.append(
                MermaidProblem(
                    line,
                    "The diagram binds an action to a click.",
                    "Link the page in Related Pages instead.",
                )
            )
        else:
            _Reader(chart, line, statement).read()
    if depth:
        chart.problems.append(
            MermaidProblem(line, "A subgraph is not closed.", "Add a line with end.")
        )
    if len(statements) > MAX_STATEMENTS:
        chart.problems.append(
            MermaidProblem(
                line,
                f"The diagram has more than {MAX_STATEMENTS} statements.",
                "Draw fewer nodes.",
            )
        )
    return chart


def _refuse_directives(chart: Flowchart, text: str) -> None:
    for number, line in enumerate(text.split("\n")):
        if re.match(r"\s*%%\s*\{", line):
            chart.problems.append(
                MermaidProblem(
                    number,
                    "The diagram changes the settings of Mermaid.",
                    "Remove the line; all diagrams are drawn alike.",
                )
            )


def _statements(text: str) -> list[tuple[int, str]]:
    found = []
    for number, line in enumerate(text.split("\n")):
        line = line.strip()  # noqa: PLW2901
        if not line or line.startswith("%%"):
            continue
        for part in _split_semicolons(line):
            if part.strip():
                found.append((number, part.strip()))
        if len(found) > MAX_STATEMENTS + 1:
            break
    return found


def _split_semicolons(line: str) -> list[str]:
    """The statements of a line; semicolons in quotes or brackets separate nothing."""
    parts, start, depth, quoted = [], 0, 0, False
    for index, character in enumerate(line):
        if character == '"':
            quoted = not quoted
        elif not quoted and character in "[({":
            depth += 1
        elif not quoted and character in "])}":
            depth -= 1
        elif character == ";" and not quoted and depth <= 0:
            parts.append(line[start:index])
            start = index + 1
    parts.append(line[start:])
    return parts


class _Reader:
    """Reads a statement like ``A[One] & B --> C{Two} -->|yes| D``."""

    def __init__(self, chart: Flowchart, line: int, text: str) -> None:
        self.chart, self.line, self.text, self.at = chart, line, text, 0

    def read(self) -> None:
        before: list[str] = []
        count = 0
        while True:
            group = self._group()
            if group is None:
                return
            count += len(group)
            if count > MAX_NODES_IN_STATEMENT:
                self._problem("A line connects too many nodes.", "Break it into several lines.")
                return
            self.chart.links.extend((a, b) for a in before for b in group)
            self._space()
            if self.at >= len(self.text):
                return
            if not self._link():
                self._problem(
                    f"{self.text[self.at : self.at + 30]!r} is not a link.",
                    "Connect two nodes like A --> B, or A -->|label| B.",
                )
                return
            before = group

    def _group(self) -> list[str] | None:
        group: list[str] = []
        while True:
            node = self._node()
            if node is None:
                return None
            group.append(node)
            self._space()
            if not self.text.startswith("&", self.at):
                return group
            self.at += 1

    def _node(self) -> str | None:
        self._space()
        match = _ID.match(self.text, self.at)
        if match is None:
            rest = self.text[self.at : self.at + 30]
            message = (
                f"{rest!r} is not a node." if rest else "The line ends with a link to nothing."
            )
            self._problem(message, "Write a node like A[Data Preparation].")
            return None
        name = match[0]
        if self.text.startswith("{", match.end()) and not self.text.startswith("{{", match.end()):
            self.chart.decisions.add(name)
        if name == "end":
            self._problem("A node is named end, which ends a subgraph.", "Name it End.")
            return None
        self.at = match.end()
        label = self._label()
        if label is None:
            return None
        known = self.chart.nodes.get(name)
        if known is None or (label and known == name):
            self.chart.nodes[name] = label or name
            self.chart.lines.setdefault(name, self.line)
        if style := _CLASS.match(self.text, self.at):
            self.at = style.end()
        return name

    def _label(self) -> str | None:
        """The label behind an identifier; empty without one, ``None`` if it is malformed."""
        for opening, *closings in _SHAPES:
            if not self.text.startswith(opening, self.at):
                continue
            start = self.at + len(opening)
            if self.text.startswith('"', start):
                quote = self.text.find('"', start + 1)
                end = quote + 1 if quote >= 0 else -1
                ends = [end] if any(self.text.startswith(c, end) for c in closings) else [-1]
            else:
                ends = [self.text.find(closing, start) for closing in closings]
            found = [end for end in ends if end >= 0]
            if not found:
                self._problem(
                    f"The label of a node opens with {opening} and is not closed.",
                    f"Close it with {closings[0]}.",
                )
                return None
            end = min(found)
            label = self.text[start:end].strip()
            if not label.startswith('"') and re.search(r"[\[\](){}\"]", label):
                self._problem(
                    f"The label {label[:40]!r} holds brackets or quotes.",
                    f'Put it in quotes: {opening}"…"{closings[0]}.',
                )
                return None
            if re.search(r"<(?!br\s*/?>)", label):
                self._problem(
                    f"The label {label[:40]!r} holds HTML.",
                    "Write text only, and <br> to break it.",
                )
                return None
            closing = next(c for c in closings if self.text.startswith(c, end))
            self.at = end + len(closing)
            return label.strip('"').strip()[:MAX_LABEL_CHARACTERS] or " "
        return ""

    def _link(self) -> bool:
        match = _LINK.match(self.text, self.at)
        if match is None:
            match = _OPEN_LINK.match(self.text, self.at)
        if match is None:
            return False
        self.at = match.end()
        self._space()
        if text := _LINK_TEXT.match(self.text, self.at):
            self.at = text.end()
        return True

    def _space(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in " \t\r":
            self.at += 1

    def _problem(self, message: str, instead: str) -> None:
        self.chart.problems.append(MermaidProblem(self.line, message, instead))
