"""Reading a page in either dialect."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from knowledge.claim_comments import read_claims
from knowledge.errors import PageError
from knowledge.links import PageLink, canonical_name, find_links
from knowledge.markup import Lines, masked, regions
from knowledge.model import Edge, Page, PageType, Section, Source
from knowledge.schema import NAMESPACES

MAX_PAGE_BYTES = 1024 * 1024
MAX_LINE_CHARACTERS = 20_000
MAX_NESTING = 50
"""Of brackets and braces on one page."""
MAX_SECTIONS = 1000

METADATA_KINDS = ("source", "domain", "last_updated")
DATE_FORMAT = "%Y-%m-%d %H:%M GMT"

_HEADING = re.compile(
    r"^(?P<marks>={2,3})(?!=)(?P<title>[^\n]*?)(?<!=)(?P=marks)[ \t\r]*$", re.MULTILINE
)
_HEADER = re.compile(r"\ufeff?#[ \t]+(?P<type>[A-Za-z]+)[ \t]*:[ \t]*(?P<name>[^\n]+)")
_TELLING_SECTIONS = {
    "the insight (rule of thumb)": PageType.HEURISTIC,
    "execution steps": PageType.WORKFLOW,
    "system requirements": PageType.ENVIRONMENT,
    "theoretical basis": PageType.PRINCIPLE,
    "code reference": PageType.IMPLEMENTATION,
}
_OPENING = re.compile(r"\[\[|\]\]|\{\{|\}\}|\{\||\|\}")


def parse(
    text: str,
    *,
    type: PageType | None = None,
    name: str | None = None,
    path: Path | None = None,
) -> Page:
    """The page that ``text`` is.

    Its type is ``type``, or that of the folder in ``path``, or that of a first line like
    ``# Heuristic: Name``, or that of its sections; its name is ``name``, the stem of ``path`` or
    that of the first line. Content that breaks a rule is read as far as it goes: the rules report
    it (see :mod:`knowledge.rules`).

    Raises:
        PageError: the text is too large or too deeply nested, or its type or name is not known.
    """
    _check_limits(text)
    found = regions(text)
    visible = masked(text, found)
    _check_nesting(visible)
    sections = _sections(text, visible)
    header = _HEADER.match(text)
    kind = type or _type(path, header, sections)
    title = name or (path.stem if path else header["name"] if header else None)
    if not title or not canonical_name(title):
        raise PageError(
            "The page has no name. Keep it in a file named after it, or begin it with a line like "
            "# Heuristic: Gradient_Checkpointing."
        )
    full_name = f"{kind.namespace}:{canonical_name(title)}"
    links = find_links(visible)
    lines = Lines(text)
    return Page(
        type=kind,
        name=canonical_name(title),
        path=path,
        text=text,
        sources=tuple(_source(link, lines) for link in links if link.kind == "source"),
        domains=tuple(link.target for link in links if link.kind == "domain"),
        last_updated=_last_updated(links),
        overview=overview_text(sections),
        sections=sections,
        edges=tuple(_edges(links, sections, lines)),
        claims=read_claims(text, found, full_name)[0],
    )


def header_of(text: str) -> tuple[str, str, int] | None:
    """Type, name and length of a first line like ``# Heuristic: Name``; ``None`` without one."""
    header = _HEADER.match(text)
    return (header["type"], canonical_name(header["name"]), header.end()) if header else None


def overview_text(sections: Iterable[Section]) -> str:
    """What stands below ``== Overview ==``, on one line and without comments."""
    for section in sections:
        if section.title.lower() == "overview" and section.level == 2:
            prose = re.sub(r"<!--.*?(?:-->|\Z)", " ", section.text, flags=re.DOTALL)
            return " ".join(prose.split())
    return ""


def parse_date(text: str) -> datetime | None:
    """The moment that ``2026-11-29 17:00 GMT`` names, in UTC; ``None`` if it has another form."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d GMT", text.strip(), re.ASCII):
        return None
    try:
        return datetime.strptime(text.strip(), DATE_FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        return None


def _check_limits(text: str) -> None:
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise PageError("The page holds a character that UTF-8 cannot carry.") from error
    if size > MAX_PAGE_BYTES:
        raise PageError(
            f"The page has {size / MAX_PAGE_BYTES:.1f} MiB; {MAX_PAGE_BYTES // 2**20} MiB is the "
            "most that is read. Split it into several pages."
        )
    if "\0" in text:
        raise PageError("The page holds a NUL character: it is not text.")
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE_CHARACTERS:
            raise PageError(
                f"Line {number} has {len(line)} characters; {MAX_LINE_CHARACTERS} are the most "
                "that is read. Break it.",
                line=number,
            )


def _check_nesting(visible: str) -> None:
    depth = 0
    for mark in _OPENING.finditer(visible):
        depth = depth + 1 if mark[0] in ("[[", "{{", "{|") else max(0, depth - 1)
        if depth > MAX_NESTING:
            line = visible.count("\n", 0, mark.start()) + 1
            raise PageError(
                f"Brackets or braces are nested more than {MAX_NESTING} deep at line {line}. "
                "Close them.",
                line=line,
            )


def _sections(text: str, visible: str) -> tuple[Section, ...]:
    headings = list(_HEADING.finditer(visible))
    if len(headings) > MAX_SECTIONS:
        raise PageError(
            f"The page has {len(headings)} sections; {MAX_SECTIONS} are the most that is read. "
            "Split it into several pages."
        )
    lines = Lines(text)
    ends = [match.start() for match in headings[1:]] + [len(text)]
    return tuple(
        Section(
            title=text[match.start("title") : match.end("title")].strip(),
            level=len(match["marks"]),
            line=lines.at(match.start()),
            start=match.start(),
            end=end,
            text=text[match.end() : end],
        )
        for match, end in zip(headings, ends)
    )


def _type(path: Path | None, header: re.Match[str] | None, sections: Iterable[Section]) -> PageType:
    if path is not None:
        for kind in PageType:
            if path.parent.name == kind.folder:
                return kind
    if header and header["type"].capitalize() in NAMESPACES:
        return NAMESPACES[header["type"].capitalize()]
    for section in sections:
        if section.level == 2 and section.title.lower() in _TELLING_SECTIONS:
            return _TELLING_SECTIONS[section.title.lower()]
    raise PageError(
        "The type of the page is not known. Keep it in a folder named heuristics, workflows, "
        "environments, principles or implementations."
    )


def _source(link: PageLink, lines: Lines) -> Source:
    title, _, url = link.text.partition("|")
    return Source(link.target, title.strip(), url.strip(), lines.at(link.start))


def _last_updated(links: Iterable[PageLink]) -> datetime | None:
    for link in links:
        if link.kind == "last_updated":
            return parse_date(link.target)
    return None


def _edges(
    links: Iterable[PageLink], sections: tuple[Section, ...], lines: Lines
) -> Iterable[Edge]:
    position, current = 0, ""
    for link in links:
        while position < len(sections) and sections[position].start <= link.start:
            current = sections[position].title if sections[position].level == 2 else current
            position += 1
        if link.kind and link.kind not in METADATA_KINDS:
            yield Edge(
                kind=link.kind,
                target_type=link.target_type,
                target=link.target_name,
                line=lines.at(link.start),
                section=current,
            )
