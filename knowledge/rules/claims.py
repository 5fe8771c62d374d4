"""Claims: readable as data, and with a source."""

from __future__ import annotations

import re
from collections.abc import Iterator

from knowledge.claim_comments import read_claims
from knowledge.content import Content
from knowledge.markup import RegionKind
from knowledge.model import PageType
from knowledge.rules.metadata import url_problem
from knowledge.rules.model import Rule, RuleProblem, Severity, View


def _syntax(content: Content, view: View) -> Iterator[RuleProblem]:
    for problem in read_claims(content.text, content.regions, content.page.full_name)[1]:
        yield RuleProblem(problem.line, problem.message, problem.instead)
    for region in content.regions:
        inner = region.inner(content.text) if region.kind is RegionKind.COMMENT else ""
        mark = re.match(r"\s*(tonnage\s*:?\s*claims?)\b[^\n]*", inner, re.IGNORECASE)
        if mark and not re.match(r"\s*tonnage:claim[ \t]*(?:\r?\n|$)", inner):
            yield RuleProblem(
                content.lines.at(region.start),
                f"The comment begins with {mark[0].strip()[:40]!r} and is not read as a claim.",
                "Begin it with <!-- tonnage:claim and a line break.",
            )


def _source(content: Content, view: View) -> Iterator[RuleProblem]:
    for claim in content.page.claims:
        reason = url_problem(claim.source)
        if reason:
            yield RuleProblem(
                claim.line,
                f"The source of the claim {claim.id} {reason}.",
                'Write source = "https://…", where the claim is made.',
            )


def _sign(content: Content, view: View) -> Iterator[RuleProblem]:
    """A figure above 1 in size is mostly a percentage that was not divided by 100."""
    for claim in content.page.claims:
        bounds = [bound for bound in (claim.low, claim.high) if bound is not None]
        if any(bound <= -1 for bound in bounds) or any(bound >= 20 for bound in bounds):
            yield RuleProblem(
                claim.line,
                f"The claim {claim.id} has the range {claim.low} to {claim.high}.",
                "Write relative changes: -0.5 is 50 % less, 0.3 is 30 % more.",
            )


def _place(content: Content, view: View) -> Iterator[RuleProblem]:
    if content.page.type is not PageType.HEURISTIC:
        for claim in content.page.claims:
            yield RuleProblem(
                claim.line,
                f"{content.page.type.with_article.capitalize()} page makes the claim {claim.id}.",
                "Move it to the heuristic that it is about.",
            )


RULES = (
    Rule(
        "claim-syntax",
        Severity.ERROR,
        "A claim that cannot be read is never measured.",
        on_page=_syntax,
    ),
    Rule(
        "claim-source",
        Severity.WARNING,
        "A figure without a source may have been made up.",
        on_page=_source,
    ),
    Rule(
        "claim-range",
        Severity.ERROR,
        "A change of -100 % or less, or of +2000 % or more, is a percentage taken for a share.",
        on_page=_sign,
    ),
    Rule(
        "claim-place",
        Severity.WARNING,
        "Measurements are shown on heuristics.",
        on_page=_place,
    ),
)
