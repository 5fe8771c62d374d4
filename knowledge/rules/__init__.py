"""The rules that pages are checked against."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timezone
from pathlib import Path

from knowledge.library import Library
from knowledge.rules import (
    claims,
    edges,
    environments,
    files,
    heuristics,
    implementations,
    indexes,
    metadata,
    principles,
    safety,
    sections,
    workflows,
)
from knowledge.rules.model import Finding, Rule, RuleProblem, Severity, View

__all__ = ["RULES", "Finding", "Rule", "Severity", "check"]

RULES: dict[str, Rule] = {
    rule.id: rule
    for module in (
        files,
        metadata,
        sections,
        heuristics,
        workflows,
        environments,
        principles,
        implementations,
        edges,
        claims,
        safety,
        indexes,
    )
    for rule in module.RULES
}
"""All rules by their id."""

MAX_FINDINGS_PER_RULE_AND_PAGE = 50


def check(
    library: Library,
    *,
    only: Collection[Path] | None = None,
    rules: Collection[str] | None = None,
    now: datetime | None = None,
) -> list[Finding]:
    """What breaks the rules, sorted by file and line.

    Args:
        library: the pages; all of them count for links, whichever are reported.
        only: files and folders to report; by default all.
        rules: ids of the rules to apply; by default all.
        now: the moment that dates are compared with.

    Raises:
        KeyError: there is no rule of this id.
    """
    wanted = list(RULES.values()) if rules is None else [RULES[name] for name in rules]
    view = View(library, now or datetime.now(timezone.utc))
    found = [finding for rule in wanted for finding in _apply(rule, view)]
    if only is not None:
        places = [path.absolute() for path in only]
        found = [f for f in found if f.path and any(f.path.is_relative_to(p) for p in places)]
    return sorted(found, key=_order)


def _apply(rule: Rule, view: View) -> Iterator[Finding]:
    if rule.on_library is not None:
        for found in rule.on_library(view):
            yield _finding(rule, found, found.path, "")
    if rule.on_page is not None:
        for page in view.library.pages.values():
            for count, problem in enumerate(rule.on_page(view.content(page), view)):
                if count >= MAX_FINDINGS_PER_RULE_AND_PAGE:
                    break
                yield _finding(rule, problem, page.path, page.full_name)


def _finding(rule: Rule, problem: RuleProblem, path: Path | None, page: str) -> Finding:
    return Finding(
        rule=rule.id,
        severity=rule.severity,
        path=path,
        line=problem.line,
        message=problem.message,
        instead=problem.instead,
        fixable=rule.fixable,
        page=page,
    )


def _order(finding: Finding) -> tuple[str, int, str, str]:
    return (str(finding.path or finding.page), finding.line, finding.rule, finding.message)
