"""Principles: at least one implementation."""

from __future__ import annotations

from collections.abc import Iterator

from knowledge.content import Content
from knowledge.model import PageType
from knowledge.rules.model import Rule, RuleProblem, Severity, View


def _implemented(content: Content, view: View) -> Iterator[RuleProblem]:
    page = content.page
    if page.type is not PageType.PRINCIPLE:
        return
    if not any(edge.kind == "implemented_by" for edge in page.edges):
        section = content.section("Related Pages", 2)
        yield RuleProblem(
            section.line if section else 1,
            "The principle has no implementation.",
            "Add * [[implemented_by::Implementation:Name]] below === Implemented By ===.",
        )


RULES = (
    Rule(
        "principle-implemented",
        Severity.ERROR,
        "A principle that no code implements cannot be followed.",
        on_page=_implemented,
    ),
)
