"""The metadata table: sources, domains and the date."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from knowledge.content import Content
from knowledge.parsing import METADATA_KINDS, parse_date
from knowledge.rules.model import Rule, RuleProblem, Severity, View
from knowledge.schema import SOURCE_TYPES

FIELDS = {
    "source": ("Knowledge Sources", "[[source::Type|Title|URL]]"),
    "domain": ("Domains", "[[domain::Tag]]"),
    "last_updated": ("Last Updated", "[[last_updated::YYYY-MM-DD HH:MM GMT]]"),
}


def _missing(content: Content, view: View) -> Iterator[RuleProblem]:
    if content.metadata is None:
        yield RuleProblem(
            1,
            "The page has no metadata table before its first section.",
            "Begin it with the table that `tonnage knowledge new` writes.",
        )


def _field(content: Content, view: View) -> Iterator[RuleProblem]:
    if content.metadata is None:
        return
    kinds = {link.kind for link in content.links if link.start < content.metadata_end}
    for kind, (name, syntax) in FIELDS.items():
        if kind not in kinds:
            line = content.metadata.line
            yield RuleProblem(line, f"The metadata has no {name}.", f"Add the row {name}: {syntax}")


def _place(content: Content, view: View) -> Iterator[RuleProblem]:
    for link in content.links:
        if link.kind in METADATA_KINDS and link.start >= content.metadata_end:
            yield RuleProblem(
                content.lines.at(link.start),
                f"{link.raw} stands outside the metadata table.",
                "Move it into the table at the top of the page.",
            )


def _duplicate(content: Content, view: View) -> Iterator[RuleProblem]:
    dates = [link for link in content.links if link.kind == "last_updated"]
    for link in dates[1:]:
        yield RuleProblem(
            content.lines.at(link.start), "The page has a second date.", "Keep the newer one."
        )


def _source_type(content: Content, view: View) -> Iterator[RuleProblem]:
    allowed = SOURCE_TYPES[content.page.type]
    for source in content.page.sources:
        if source.type not in allowed:
            yield RuleProblem(
                source.line,
                f"{source.type or 'An empty text'} is not a type of source that "
                f"{content.page.type.with_article} page may have.",
                f"Use {', '.join(allowed)}.",
            )


def _source_title(content: Content, view: View) -> Iterator[RuleProblem]:
    for source in content.page.sources:
        if not source.title:
            yield RuleProblem(
                source.line,
                "The source has no title.",
                f"Write [[source::{source.type}|Title|{source.url or 'URL'}]].",
            )


def _source_url(content: Content, view: View) -> Iterator[RuleProblem]:
    for source in content.page.sources:
        if source.type == "Experience" and not source.url:
            continue
        reason = url_problem(source.url)
        if reason:
            yield RuleProblem(
                source.line,
                f"The URL of the source {source.title!r} {reason}.",
                "Write a whole address, like https://example.org/page.",
            )


def url_problem(url: str) -> str | None:
    """What is wrong with a URL of a web page; ``None`` if nothing is."""
    if not url:
        return "is missing"
    if re.search(r"[\s<>\"{}|\\^`]|[^\x20-\x7e]", url):
        return "holds a character that must be written in per cent form"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is malformed"
    if parts.scheme not in ("http", "https"):
        return "does not begin with https:// or http://"
    host = parts.hostname or ""
    if not re.fullmatch(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|[0-9a-f:.]+", host, re.IGNORECASE):
        return "has no host"
    if ".." in host or ("." not in host and host != "localhost" and ":" not in host):
        return "has no host that a reader could reach"
    if parts.username or parts.password:
        return "holds a user name or a password"
    return "has the port 0" if port == 0 else None


def _domain(content: Content, view: View) -> Iterator[RuleProblem]:
    for link in content.links:
        if link.kind == "domain" and not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", link.target):
            better = re.sub(r"\W+", "_", link.target).strip("_") or "Tag"
            yield RuleProblem(
                content.lines.at(link.start),
                f"{link.target!r} is not a domain.",
                f"Write [[domain::{better}]]: letters, digits and underscores.",
            )


def _date_format(content: Content, view: View) -> Iterator[RuleProblem]:
    for link in content.links:
        if link.kind == "last_updated" and parse_date(link.target) is None:
            yield RuleProblem(
                content.lines.at(link.start),
                f"{link.target!r} is not a date of the form YYYY-MM-DD HH:MM GMT.",
                f"Write [[last_updated::{view.now:%Y-%m-%d %H:%M} GMT]].",
            )


def _date_future(content: Content, view: View) -> Iterator[RuleProblem]:
    for link in content.links:
        if link.kind == "last_updated":
            date = parse_date(link.target)
            if date is not None and date > view.now:
                yield RuleProblem(
                    content.lines.at(link.start),
                    f"{link.target} is in the future; it is {view.now:%Y-%m-%d %H:%M} GMT.",
                    f"Write [[last_updated::{view.now:%Y-%m-%d %H:%M} GMT]].",
                )


RULES = (
    Rule(
        "metadata-missing",
        Severity.ERROR,
        "Without sources and a date nobody can judge what a page says.",
        on_page=_missing,
    ),
    Rule(
        "metadata-field",
        Severity.ERROR,
        "Each field is needed to judge or to find the page.",
        on_page=_field,
    ),
    Rule(
        "metadata-place",
        Severity.WARNING,
        "Readers look for sources, domains and the date in the table only.",
        on_page=_place,
    ),
    Rule(
        "metadata-duplicate",
        Severity.ERROR,
        "Of two dates nobody knows which one holds.",
        on_page=_duplicate,
    ),
    Rule(
        "source-type",
        Severity.ERROR,
        "The type says how far a source can be trusted for this kind of page.",
        on_page=_source_type,
    ),
    Rule(
        "source-title",
        Severity.ERROR,
        "A title finds a source whose address has moved.",
        on_page=_source_title,
    ),
    Rule(
        "source-url",
        Severity.ERROR,
        "A claim whose source cannot be opened cannot be checked.",
        on_page=_source_url,
    ),
    Rule(
        "domain-name",
        Severity.WARNING,
        "A domain in another form is another domain.",
        on_page=_domain,
    ),
    Rule(
        "date-format",
        Severity.ERROR,
        "Dates in one form and time zone can be compared.",
        on_page=_date_format,
    ),
    Rule(
        "date-future",
        Severity.ERROR,
        "A date in the future hides that a page is old.",
        on_page=_date_future,
    ),
)
