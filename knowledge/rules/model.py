"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from pathlib import Path

from knowledge.content import Content
from knowledge.graph import Graph
from knowledge.library import Library
from knowledge.model import Edge, Page

CIRCLE_KINDS = ("step", "implemented_by")
"""Edges that say what comes first, so that a circle of them has no beginning."""


class Severity(StrEnum):
    """How bad a finding is; the values are those of SARIF."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True)
class RuleProblem:
    """What is wrong in one place of a page, and what to write instead."""

    line: int
    message: str
    instead: str


@dataclass(frozen=True)
class FileProblem(RuleProblem):
    """A problem of a file that is not a page of the library, like an index."""

    path: Path


@dataclass(frozen=True)
class Rule:
    """A property that pages must have. It has either ``on_page`` or ``on_library``."""

    id: str
    severity: Severity
    reason: str
    """Why it matters, as one sentence."""
    on_page: Callable[[Content, View], Iterable[RuleProblem]] | None = None
    on_library: Callable[[View], Iterable[FileProblem]] | None = None
    fixable: bool = False
    """Whether ``--fix`` fixes what it finds."""


@dataclass(frozen=True)
class Finding:
    """A problem with the rule that it breaks."""

    rule: str
    severity: Severity
    path: Path | None
    line: int
    message: str
    instead: str
    fixable: bool
    page: str = ""
    """Full name; empty for a file that is not a page."""


@dataclass
class View:
    """What rules look at: a library, read further once for all of them."""

    library: Library
    now: datetime
    contents: dict[str, Content] = field(default_factory=dict)

    def content(self, page: Page) -> Content:
        """The content of a page, read once."""
        if page.full_name not in self.contents:
            self.contents[page.full_name] = Content(page)
        return self.contents[page.full_name]

    @cached_property
    def graph(self) -> Graph:
        """The graph of the library."""
        return Graph(self.library)

    @cached_property
    def connected(self) -> frozenset[str]:
        """Full names of the pages that have an edge."""
        return frozenset(name for edge in self.graph.edges for name in (edge.source, edge.target))

    @cached_property
    def circles(self) -> dict[str, list[str]]:
        """Groups of pages that lead to each other, by the first of each."""
        return {circle[0]: circle for circle in self.graph.cycles(CIRCLE_KINDS)}

    def target(self, edge: Edge) -> Page | None:
        """The page that an edge leads to, if it exists."""
        return self.library.pages.get(f"{edge.target_type}:{edge.target}")

    def may_be_changed(self, page: Page, beside: Page) -> bool:
        """Whether who writes ``beside`` can change ``page``; built-in pages they cannot."""
        return self.library.is_builtin(beside) or not self.library.is_builtin(page)
