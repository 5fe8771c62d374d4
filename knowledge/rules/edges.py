"""Links: their syntax, what they may connect, whether it exists, and the way back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches

from knowledge.content import Content
from knowledge.links import parse_link
from knowledge.model import Edge, Page, PageType
from knowledge.parsing import METADATA_KINDS
from knowledge.rules.files import FORBIDDEN_IN_NAMES
from knowledge.rules.model import Rule, RuleProblem, Severity, View
from knowledge.schema import EDGES, NAMESPACES, NEWER_KINDS, EdgeRule, edge_rule, is_backlink

_ANY_BRACKETS = re.compile(r"\[\[([^\[\]\n]{0,1000})(\]\])?|\]\]")


def _syntax(content: Content, view: View) -> Iterator[RuleProblem]:
    for match in _ANY_BRACKETS.finditer(content.visible):
        line = content.lines.at(match.start())
        if _is_subscript(content.visible, match):
            continue
        if match[0] == "]]":
            yield RuleProblem(line, "]] closes no link.", "Remove it, or open the link with [[.")
        elif not match[2]:
            shown = match[0][:60]
            yield RuleProblem(line, f"The link {shown!r} is not closed.", "Close it with ]].")
        else:
            problem = _link_problem(match[0])
            if problem is not None:
                yield RuleProblem(line, *problem)


def _is_subscript(text: str, match: re.Match[str]) -> bool:
    """Whether brackets are those of code in prose, like ``list[list[int]]``; no wiki links them."""
    if match[0] != "]]":
        return not match[2] and text[max(0, match.start() - 1) : match.start()].isalnum()
    before = text[text.rfind("\n", 0, match.start()) + 1 : match.end()]
    return before.count("[") >= before.count("]")


def _link_problem(raw: str) -> tuple[str, str] | None:
    link = parse_link(raw)
    shown = raw if len(raw) < 80 else f"{raw[:76]}…]]"
    if link is None:
        return f"{shown} holds characters that no link can have.", "Remove < > { } from it."
    if not link.kind:
        if re.match(r"\[\[\s*\w+\s*:\s*\w+\s*:", raw) or "::" in raw:
            return f"{shown} has no kind.", "Write [[kind::Type:Name]]."
        if not link.target:
            return f"{shown} is empty.", "Write [[kind::Type:Name]]."
        return None
    if link.kind in METADATA_KINDS:
        if not link.target:
            return f"{shown} states nothing.", f"Write a value behind {link.kind}::."
        if link.kind == "source" and "|" not in link.text:
            return f"{shown} lacks a title or a URL.", "Write [[source::Type|Title|URL]]."
        return None
    if not link.target_type or not link.target_name:
        return f"{shown} names no page.", f"Write [[{link.kind}::Type:Name]]."
    return None


def _own(page: Page) -> Iterator[Edge]:
    """Edges that name a page."""
    return (edge for edge in page.edges if edge.target_type and edge.target)


def _type(content: Content, view: View) -> Iterator[RuleProblem]:
    for edge in _own(content.page):
        if edge.target_type not in NAMESPACES:
            near = get_close_matches(edge.target_type.capitalize(), NAMESPACES, n=1, cutoff=0.6)
            yield RuleProblem(
                edge.line,
                f"There is no type of page named {edge.target_type!r}.",
                f"Write {near[0]}." if near else f"Use {', '.join(NAMESPACES)}.",
            )


def _legal(content: Content, view: View) -> Iterator[RuleProblem]:
    page = content.page
    for edge in _own(page):
        known = edge.target_type in NAMESPACES
        if known and edge_rule(page.type, edge.kind, edge.target_type) is None:
            allowed = [
                f"[[{rule.kind}::{rule.target.namespace}:…]]"
                for rule in EDGES
                if rule.source is page.type
            ]
            yield RuleProblem(
                edge.line,
                f"{page.type.with_article.capitalize()} page has no edge "
                f"{edge.kind}::{edge.target_type}.",
                f"Use {', '.join(allowed)}.",
            )


def _name(content: Content, view: View) -> Iterator[RuleProblem]:
    for edge in _own(content.page):
        bad = sorted(set(FORBIDDEN_IN_NAMES.findall(edge.target)))
        if bad:
            better = FORBIDDEN_IN_NAMES.sub("_", edge.target)
            yield RuleProblem(
                edge.line,
                f"The name {edge.target!r} holds {' '.join(bad)}.",
                f"Write {edge.target_type}:{better}.",
            )


def _target(content: Content, view: View) -> Iterator[RuleProblem]:
    for edge in _own(content.page):
        if edge.target_type in NAMESPACES and view.target(edge) is None:
            kind = NAMESPACES[edge.target_type]
            names = [page.name for page in view.library.of_type(kind)]
            near = get_close_matches(edge.target, names, n=1, cutoff=0.7)
            yield RuleProblem(
                edge.line,
                f"There is no page {edge.target_type}:{edge.target}.",
                f"Write {edge.target_type}:{near[0]}."
                if near
                else f"Write it (tonnage knowledge new {kind.value} {edge.target}), or remove "
                "the link.",
            )


def _duplicate(content: Content, view: View) -> Iterator[RuleProblem]:
    seen: dict[tuple[str, str, str, str], int] = {}
    for edge in _own(content.page):
        key = (edge.kind, edge.target_type, edge.target, edge.section)
        if key in seen and edge.kind != "step":
            yield RuleProblem(
                edge.line,
                f"{edge.kind}::{edge.target_type}:{edge.target} is in line {seen[key]} already.",
                "Remove it.",
            )
        seen.setdefault(key, edge.line)


def _self(content: Content, view: View) -> Iterator[RuleProblem]:
    page = content.page
    for edge in _own(page):
        if f"{edge.target_type}:{edge.target}" == page.full_name:
            yield RuleProblem(edge.line, "The page links to itself.", "Remove the link.")


def _place(content: Content, view: View) -> Iterator[RuleProblem]:
    for edge in _own(content.page):
        wanted = ("Related Pages", "Execution Steps") if edge.kind == "step" else ("Related Pages",)
        if edge.section not in wanted:
            yield RuleProblem(
                edge.line,
                f"The link to {edge.target_type}:{edge.target} stands in "
                f"{edge.section or 'the metadata'}.",
                "Move it to Related Pages.",
            )


def missing_backlinks(page: Page, view: View) -> Iterator[tuple[Edge, Page, EdgeRule]]:
    """The forward edges of a page whose target does not link back: edge, target, the way back."""
    for edge in _own(page):
        rule = edge_rule(page.type, edge.kind, edge.target_type)
        target = view.target(edge)
        if rule is None or rule.backlink is None or target is None:
            continue
        if is_backlink(page.type, edge.kind) or not view.may_be_changed(target, page):
            continue
        if not any(_answers(back, rule.backlink, page) for back in target.edges):
            back_rule = edge_rule(target.type, rule.backlink, page.type.namespace)
            if back_rule is not None:
                yield edge, target, back_rule


def _answers(back: Edge, kind: str, page: Page) -> bool:
    same_kind = NEWER_KINDS.get(back.kind, back.kind) == kind
    return same_kind and f"{back.target_type}:{back.target}" == page.full_name


def _backlink(content: Content, view: View) -> Iterator[RuleProblem]:
    page = content.page
    for edge, target, rule in missing_backlinks(page, view):
        yield RuleProblem(
            edge.line,
            f"{target.full_name} does not link back to {page.full_name}.",
            f"Add * [[{rule.kind}::{page.full_name}]] below === {rule.section} === there.",
        )


def _forward(content: Content, view: View) -> Iterator[RuleProblem]:
    page = content.page
    for edge in _own(page):
        rule = edge_rule(page.type, edge.kind, edge.target_type)
        source = view.target(edge)
        if rule is None or source is None or not is_backlink(page.type, edge.kind):
            continue
        forward = rule.backlink or "uses_heuristic"
        if not any(_answers(other, forward, page) for other in source.edges):
            yield RuleProblem(
                edge.line,
                f"{source.full_name} does not say that it uses {page.full_name}.",
                f"Add * [[{forward}::{page.full_name}]] there, or remove this line.",
            )


def _circle(content: Content, view: View) -> Iterator[RuleProblem]:
    page = content.page
    circle = view.circles.get(page.full_name)
    if circle:
        names = {f"{e.target_type}:{e.target}": e for e in page.edges}
        line = next((names[name].line for name in circle if name in names), 1)
        yield RuleProblem(
            line,
            f"These pages lead to each other in a circle: {', '.join(circle)}.",
            "Remove one of the links.",
        )


def _orphan(content: Content, view: View) -> Iterator[RuleProblem]:
    page = content.page
    if page.type is not PageType.WORKFLOW and page.full_name not in view.connected:
        yield RuleProblem(
            1, "No page links to it and it links to none.", "Connect it, or remove it."
        )


RULES = (
    Rule("link-syntax", Severity.ERROR, "A malformed link is text.", on_page=_syntax),
    Rule(
        "edge-type",
        Severity.ERROR,
        "An edge to a type that does not exist leads nowhere.",
        on_page=_type,
    ),
    Rule(
        "edge-legal",
        Severity.ERROR,
        "Programs follow only the edges that the types allow.",
        on_page=_legal,
    ),
    Rule(
        "edge-name",
        Severity.ERROR,
        "Wikis refuse titles with these characters, so the page cannot exist.",
        on_page=_name,
    ),
    Rule(
        "edge-target",
        Severity.ERROR,
        "A link to a page that does not exist is a dead end.",
        on_page=_target,
    ),
    Rule(
        "edge-duplicate",
        Severity.WARNING,
        "A link that is there twice is counted twice.",
        on_page=_duplicate,
    ),
    Rule("edge-self", Severity.ERROR, "A page cannot depend on itself.", on_page=_self),
    Rule(
        "edge-place",
        Severity.WARNING,
        "Readers look for connections in Related Pages.",
        on_page=_place,
    ),
    Rule(
        "backlink-missing",
        Severity.ERROR,
        "From a heuristic or an environment a reader finds its users by the backlinks only.",
        on_page=_backlink,
        fixable=True,
    ),
    Rule(
        "forward-missing",
        Severity.ERROR,
        "A backlink without the link that it answers states a use that the user does not know of.",
        on_page=_forward,
    ),
    Rule(
        "page-circle",
        Severity.ERROR,
        "Steps, implementations and environments that lead in a circle have no beginning.",
        on_page=_circle,
    ),
    Rule(
        "orphan",
        Severity.WARNING,
        "A page that nothing leads to is not found.",
        on_page=_orphan,
    ),
)
