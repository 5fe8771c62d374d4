"""Heuristics: an action, a value and what it costs."""

from __future__ import annotations

from collections.abc import Iterator

from knowledge.content import Content
from knowledge.model import PageType
from knowledge.rules.model import Rule, RuleProblem, Severity, View

FIELDS = {
    "Action": "what to change",
    "Value": "the number or the setting",
    "Trade-off": "what it costs",
}


def _field(content: Content, view: View) -> Iterator[RuleProblem]:
    section = content.section("The Insight (Rule of Thumb)", 2)
    if content.page.type is not PageType.HEURISTIC or section is None:
        return
    fields = {field.name.lower(): field for field in content.insight}
    for name, guide in FIELDS.items():
        field = fields.get(name.lower())
        if field is None:
            yield RuleProblem(
                section.line, f"The insight has no {name}.", f"Add * **{name}:** and {guide}."
            )
        elif not field.value:
            yield RuleProblem(field.line, f"The {name} is empty.", f"Write {guide}.")


def _order(content: Content, view: View) -> Iterator[RuleProblem]:
    if content.page.type is not PageType.HEURISTIC:
        return
    wanted = [name.lower() for name in FIELDS]
    found = [f for f in content.insight if f.name.lower() in wanted]
    if [f.name.lower() for f in found] != sorted((f.name.lower() for f in found), key=wanted.index):
        yield RuleProblem(
            found[0].line,
            f"The insight has the order {', '.join(field.name for field in found)}.",
            f"Write {', '.join(FIELDS)}.",
        )


RULES = (
    Rule(
        "insight-field",
        Severity.ERROR,
        "Advice without a value cannot be followed, and without its cost cannot be weighed.",
        on_page=_field,
    ),
    Rule(
        "insight-order",
        Severity.WARNING,
        "Readers compare heuristics line by line.",
        on_page=_order,
    ),
)
