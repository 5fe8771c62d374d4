"""Implementations: code where code belongs; and the tables of every type of page."""

from __future__ import annotations

from collections.abc import Iterator

from knowledge.content import Content
from knowledge.markup import RegionKind
from knowledge.model import PageType
from knowledge.rules.model import Rule, RuleProblem, Severity, View
from knowledge.tables import find_tables

CODE_SECTIONS = (("Signature", 3), ("Import", 3), ("Usage Examples", 2))
TABLES = {
    (PageType.ENVIRONMENT, "System Requirements", 2): ("Category", "Requirement", "Notes"),
    (PageType.ENVIRONMENT, "Common Errors", 2): ("Error", "Cause", "Solution"),
    (PageType.IMPLEMENTATION, "Inputs", 3): (),
    (PageType.IMPLEMENTATION, "Outputs", 3): (),
}
"""Sections that hold a table, with its columns; empty where the columns are free."""


def _code(content: Content, view: View) -> Iterator[RuleProblem]:
    if content.page.type is not PageType.IMPLEMENTATION:
        return
    for title, level in CODE_SECTIONS:
        section = content.section(title, level)
        if section is None:
            continue
        blocks = content.in_section(section, {RegionKind.FENCE, RegionKind.TAG})
        if not any(block.inner(content.text).strip() for block in blocks):
            yield RuleProblem(
                section.line,
                f"The section {title} has no block of code.",
                "Write it between lines of three backticks, with the language.",
            )


def _missing(content: Content, view: View) -> Iterator[RuleProblem]:
    for (kind, title, level), columns in TABLES.items():
        section = content.section(title, level)
        if content.page.type is not kind or section is None:
            continue
        tables = content.tables(section)
        header = tables[0].header if tables else ()
        if not tables or not tables[0].body:
            yield RuleProblem(
                section.line,
                f"The section {title} has no table.",
                f"Write a table with {', '.join(columns) or 'Name, Type, Description'}.",
            )
        elif columns and tuple(h.lower() for h in header) != tuple(c.lower() for c in columns):
            yield RuleProblem(
                tables[0].line,
                f"The table of {title} has the columns {', '.join(header) or 'without names'}.",
                f"Use {', '.join(columns)}.",
            )


def _row(content: Content, view: View) -> Iterator[RuleProblem]:
    for table in find_tables(content.visible[content.metadata_end :], _line(content)):
        width = len(table.header)
        plain_grid = width > 0 and not any(row.spans for row in table.rows)
        for row in table.body if plain_grid else ():
            if len(row.cells) != width:
                yield RuleProblem(
                    row.line,
                    f"The row has {len(row.cells)} cells; the table has {width} columns.",
                    "Write one cell for each column; an empty one is allowed.",
                )


def _unclosed(content: Content, view: View) -> Iterator[RuleProblem]:
    for table in find_tables(content.visible):
        if not table.closed:
            yield RuleProblem(
                table.line, "The table that begins here has no end.", "Close it with a line |}."
            )


def _line(content: Content) -> int:
    return content.lines.at(content.metadata_end)


RULES = (
    Rule(
        "code-missing",
        Severity.ERROR,
        "Code in prose cannot be copied, and its links count as edges.",
        on_page=_code,
    ),
    Rule(
        "table-missing",
        Severity.ERROR,
        "Programs read these facts from the table only.",
        on_page=_missing,
    ),
    Rule(
        "table-row",
        Severity.ERROR,
        "A row with other cells than the heading puts facts below the wrong title.",
        on_page=_row,
    ),
    Rule(
        "table-unclosed",
        Severity.ERROR,
        "A wiki takes the rest of the page into the table.",
        on_page=_unclosed,
    ),
)
