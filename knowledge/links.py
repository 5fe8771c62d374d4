"""Links in double brackets: ``[[kind::Type:Name]]``, ``[[source::Type|Title|URL]]``, plain ones."""

from __future__ import annotations

import re
from dataclasses import dataclass

import mwparserfromhell

MAX_LINKS = 5000
"""On one page."""

# Brackets cannot stand in a link, so a candidate is found in linear time; only then is it parsed.
_CANDIDATE = re.compile(r"\[\[([^\[\]\n]{0,1000})\]\]")
# Wikis allow none of these in the target of a link.
_FORBIDDEN = re.compile(r"[<>{}]")


@dataclass(frozen=True)
class PageLink:
    """A link as it is written; ``kind`` is empty for a plain link like ``[[Main_Page]]``."""

    start: int
    """Offset into the text."""
    raw: str
    kind: str
    target: str
    """What stands behind ``kind::``, up to the first ``|``."""
    text: str
    """What stands behind the first ``|``; may hold further ones."""

    @property
    def target_type(self) -> str:
        """``Principle`` of ``Principle:Quantization``; empty without a colon."""
        namespace, colon, _ = self.target.partition(":")
        return namespace.strip() if colon else ""

    @property
    def target_name(self) -> str:
        """``Quantization`` of ``Principle:Quantization``, as a wiki writes it in an address."""
        _, colon, name = self.target.partition(":")
        return canonical_name(name if colon else self.target)


def canonical_name(name: str) -> str:
    """The name of a page as wikis keep it: underscores for spaces, the first letter a capital."""
    name = re.sub(r"[\s_]+", "_", name.strip()).strip("_")
    return (
        name[:1].upper() + name[1:] if name[:1].islower() and len(name[:1].upper()) == 1 else name
    )


def find_links(visible: str) -> tuple[PageLink, ...]:
    """The links of a masked text (see :func:`knowledge.markup.masked`), in order.

    Brackets with a character inside that no link can have are left out; the rule ``link-syntax``
    reports them.
    """
    found: list[PageLink] = []
    for match in _CANDIDATE.finditer(visible):
        if len(found) >= MAX_LINKS:
            break
        link = parse_link(match[0], match.start())
        if link is not None:
            found.append(link)
    return tuple(found)


def parse_link(raw: str, start: int = 0) -> PageLink | None:
    """The link that ``raw`` is, brackets included; ``None`` if it is not one."""
    if _FORBIDDEN.search(raw):
        return None
    nodes = mwparserfromhell.parse(raw, skip_style_tags=True).filter_wikilinks(recursive=False)
    if len(nodes) != 1 or str(nodes[0]) != raw:
        return None
    title, text = str(nodes[0].title), nodes[0].text
    kind, colons, target = title.partition("::")
    if not colons:
        kind, target = "", title
    return PageLink(
        start, raw, kind.strip(), target.strip(), "" if text is None else str(text).strip()
    )
