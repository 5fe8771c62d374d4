"""Files: what can be read, and how pages are named."""

from __future__ import annotations

import re
from collections.abc import Iterator

from knowledge.content import Content
from knowledge.links import canonical_name
from knowledge.markup import RegionKind
from knowledge.parsing import header_of
from knowledge.rules.model import FileProblem, Rule, RuleProblem, Severity, View
from knowledge.schema import NAMESPACES

FORBIDDEN_IN_NAMES = re.compile(r"[#<>\[\]{}|+:/\-]")


def _unreadable(view: View) -> Iterator[FileProblem]:
    for item in view.library.unreadable:
        yield FileProblem(
            item.line, item.reason, "Fix the file, or move it out of the folder.", item.path
        )


def _name_characters(content: Content, view: View) -> Iterator[RuleProblem]:
    page = content.page
    written = page.path.stem if page.path else page.name
    bad = sorted(set(FORBIDDEN_IN_NAMES.findall(written)) | ({" "} & set(written)))
    if bad:
        better = canonical_name(FORBIDDEN_IN_NAMES.sub("_", written))
        shown = " ".join("space" if character == " " else character for character in bad)
        yield RuleProblem(1, f"The name {written!r} holds {shown}.", f"Name the page {better}.")


def _name_capital(content: Content, view: View) -> Iterator[RuleProblem]:
    page = content.page
    if page.path and page.path.stem[:1].islower():
        yield RuleProblem(
            1, f"The name {page.path.stem!r} begins with a small letter.", f"Name it {page.name}."
        )


def _header_name(content: Content, view: View) -> Iterator[RuleProblem]:
    header = header_of(content.text)
    if header is None:
        return
    kind, name, _ = header
    page = content.page
    same_type = NAMESPACES.get(kind.capitalize()) is page.type
    # In the newer dialect files carry the name of a repository before that of the page.
    if not same_type or (name != page.name and not page.name.endswith(f"_{name}")):
        yield RuleProblem(
            1,
            f"The first line names {kind}:{name}; the file is that of {page.full_name}.",
            f"Write # {page.type.namespace}: {page.name}, or rename the file.",
        )


def _dialect(content: Content, view: View) -> Iterator[RuleProblem]:
    if header_of(content.text) is not None:
        yield RuleProblem(
            1,
            "A first line with type and name belongs to the newer dialect.",
            "Remove it; the file has the name.",
        )
    for edge in content.page.edges:
        if edge.kind == "used_by":
            yield RuleProblem(
                edge.line,
                "used_by belongs to the newer dialect.",
                f"Write [[uses_heuristic::{edge.target_type}:{edge.target}]].",
            )


def _unclosed(content: Content, view: View) -> Iterator[RuleProblem]:
    names = {
        RegionKind.FENCE: ("block of code", "Close it with a line of three backticks."),
        RegionKind.COMMENT: ("comment", "Close it with -->."),
        RegionKind.DIAGRAM: ("diagram", "Close it with a line of }}."),
    }
    for region in content.regions:
        if not region.closed:
            what, instead = names[region.kind]
            line = content.lines.at(region.start)
            yield RuleProblem(line, f"The {what} that begins here has no end.", instead)


RULES = (
    Rule(
        "unreadable",
        Severity.ERROR,
        "A file that cannot be read is missing from the library without anybody noticing.",
        on_library=_unreadable,
    ),
    Rule(
        "name-characters",
        Severity.ERROR,
        "Wikis refuse titles with these characters, so links to the page cannot work.",
        on_page=_name_characters,
    ),
    Rule(
        "name-capital",
        Severity.NOTE,
        "Wikis make the first letter of a title a capital, so file and page differ in name.",
        on_page=_name_capital,
    ),
    Rule(
        "header-name",
        Severity.ERROR,
        "A page with two names is linked to by either.",
        on_page=_header_name,
    ),
    Rule(
        "newer-dialect",
        Severity.NOTE,
        "One dialect in a library makes its pages alike; both are read.",
        on_page=_dialect,
        fixable=True,
    ),
    Rule(
        "unclosed",
        Severity.ERROR,
        "Everything behind it counts as code, so links and sections are lost.",
        on_page=_unclosed,
    ),
)
