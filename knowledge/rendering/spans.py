"""The spans of a line of prose: text, bold, italic, code, links to pages and to the web."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from knowledge.links import PageLink, canonical_name, parse_link
from knowledge.rendering.blocks import CLOSE, OPEN


class SpanKind(StrEnum):
    """How a span is shown."""

    TEXT = "text"
    BOLD = "bold"
    ITALIC = "italic"
    TOKEN = "token"
    """Stands for code; ``text`` is its number."""
    WEB = "web"
    """A link to ``url``."""
    PAGE = "page"
    """A link to the page ``target``."""
    SOURCE = "source"
    DOMAIN = "domain"
    DATE = "date"


@dataclass(frozen=True)
class Span:
    """A piece of a line."""

    kind: SpanKind
    text: str
    url: str = ""
    target: str = ""
    """Full name of a page, or the type of a source."""


_SPAN = re.compile(
    f"{OPEN}(?P<token>\\d{{1,7}}){CLOSE}"
    r"|\[\[(?P<link>[^\[\]\n]{1,1000})\]\]"
    r"|\[(?P<url>https?://[^\s\[\]<>\"]{1,2000})(?:[ \t]+(?P<label>[^\[\]\n]{1,300}))?\]"
    r"|\[(?P<mdlabel>[^\[\]\n]{1,300})\]\((?P<mdurl>https?://[^\s()<>\"]{1,2000})\)"
    r"|(?P<bare>\bhttps?://[^\s<>\"'\[\]|`]{1,2000})"
    r"|\*\*(?P<bold>(?=[^\s*])(?:[^\n*]|\*(?!\*)){1,500})\*\*"
    r"|'''(?P<strong>(?:[^\n']|'(?!'')){1,500})'''(?!')"
    r"|''(?P<italic>[^\n']{1,500})''"
)
WEB_ADDRESS = re.compile(r"https?://[^\s<>\"'\\]+\Z", re.IGNORECASE)


def spans(text: str) -> Iterator[Span]:
    """The spans of a text, in order; nothing is left out."""
    position = 0
    for match in _SPAN.finditer(text):
        if match.start() > position:
            yield Span(SpanKind.TEXT, text[position : match.start()])
        yield from _spans_of(match)
        position = match.end()
    if position < len(text):
        yield Span(SpanKind.TEXT, text[position:])


def _spans_of(match: re.Match[str]) -> Iterator[Span]:
    if match["token"]:
        yield Span(SpanKind.TOKEN, match["token"])
    elif match["link"]:
        link = parse_link(match[0])
        yield _link_span(link) if link else Span(SpanKind.TEXT, match[0])
    elif match["url"]:
        yield Span(SpanKind.WEB, match["label"] or match["url"], match["url"])
    elif match["mdurl"]:
        yield Span(SpanKind.WEB, match["mdlabel"], match["mdurl"])
    elif match["bare"]:
        url = match["bare"].rstrip(".,;:!?)")
        yield Span(SpanKind.WEB, url, url)
        if len(url) < len(match["bare"]):
            yield Span(SpanKind.TEXT, match["bare"][len(url) :])
    elif match["bold"] or match["strong"]:
        yield Span(SpanKind.BOLD, match["bold"] or match["strong"])
    else:
        yield Span(SpanKind.ITALIC, match["italic"])


def _link_span(link: PageLink) -> Span:
    if link.kind == "source":
        title, _, url = link.text.partition("|")
        url = url.strip()
        safe = url if WEB_ADDRESS.match(url) else ""
        return Span(SpanKind.SOURCE, title.strip() or url or link.target, safe, link.target)
    if link.kind == "domain":
        return Span(SpanKind.DOMAIN, link.target.replace("_", " "))
    if link.kind == "last_updated":
        return Span(SpanKind.DATE, link.target)
    if link.target_type:
        full_name = f"{link.target_type}:{link.target_name}"
        shown = link.text or link.target_name.replace("_", " ")
        return Span(SpanKind.PAGE, shown, target=full_name)
    shown = link.text or link.target
    return Span(SpanKind.PAGE, shown, target=canonical_name(link.target))
