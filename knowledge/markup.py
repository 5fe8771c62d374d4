"""The parts of a page that are not prose: code, comments and diagrams.

Links, headings and tables are looked for in a *masked* text, in which these parts are blank and
every other character keeps its offset. Every function here takes linear time on any text.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum


class RegionKind(StrEnum):
    """Why a part of the text is not prose."""

    FENCE = "fence"
    """Between lines of three backticks or tildes."""
    TAG = "tag"
    """``<nowiki>``, ``<pre>``, ``<code>``, ``<math>``, ``<syntaxhighlight>`` or ``<source>``."""
    COMMENT = "comment"
    INLINE = "inline"
    """Between backticks on one line."""
    DIAGRAM = "diagram"
    """``{{#mermaid: … }}``."""


@dataclass(frozen=True)
class Region:
    """A part of the text that is not prose; offsets into the text."""

    kind: RegionKind
    start: int
    end: int
    inner_start: int
    inner_end: int
    label: str = ""
    """The language of a fence, or the name of a tag."""
    closed: bool = True

    def inner(self, text: str) -> str:
        """What stands between the marks."""
        return text[self.inner_start : self.inner_end]


class Lines:
    """Line numbers of a text, from 1."""

    def __init__(self, text: str) -> None:
        self._starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def at(self, offset: int) -> int:
        """The number of the line that ``offset`` is in."""
        return bisect_right(self._starts, offset)


_OPENER = re.compile(
    r"^[ \t]{0,8}(?P<fence>`{3,}|~{3,})(?P<info>[^`\n]*)$"
    r"|(?P<comment><!--)"
    r"|<(?P<tag>nowiki|pre|code|math|syntaxhighlight|source)(?:[ \t][^<>\n]{0,300})?>"
    r"|(?P<diagram>\{\{[ \t]{0,8}\#mermaid[ \t]{0,8}:)"
    r"|(?P<ticks>`+)",
    re.MULTILINE | re.IGNORECASE,
)
_FENCE = re.compile(r"^[ \t]{0,8}(`{3,}|~{3,})[ \t\r]*$", re.MULTILINE)
_MAX_INLINE = 1000
_BRACES = re.compile(r"\{\{|\}\}")


def regions(text: str) -> tuple[Region, ...]:
    """The parts of ``text`` that are not prose, in order; none overlaps another.

    A fence, comment or diagram without an end reaches to the end of the text, with ``closed``
    false. A tag or a backtick without an end is prose.
    """
    return tuple(_Scanner(text).scan())


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.lower = text.lower() if text.isascii() else _ascii_lower(text)
        self.never: set[str] = set()  # closing marks that do not occur any more

    def scan(self) -> list[Region]:
        found: list[Region] = []
        position = 0
        while match := _OPENER.search(self.text, position):
            region = self._region(match)
            if region is None:
                position = match.end()
                continue
            found.append(region)
            position = region.end
        return found

    def _region(self, match: re.Match[str]) -> Region | None:
        if match["fence"]:
            return self._fence(match)
        if match["comment"]:
            return self._until(RegionKind.COMMENT, match, "-->", required=False)
        if match["diagram"]:
            return self._diagram(match)
        if match["tag"]:
            name = match["tag"].lower()
            return self._until(RegionKind.TAG, match, f"</{name}>", required=True, label=name)
        return self._inline(match)

    def _fence(self, match: re.Match[str]) -> Region:
        mark = match["fence"]
        start_inside = min(match.end() + 1, len(self.text))
        label = match["info"].strip()
        position = start_inside
        while end := _FENCE.search(self.text, position):
            if end[1][0] == mark[0] and len(end[1]) >= len(mark):
                return Region(
                    RegionKind.FENCE, match.start(), end.end(), start_inside, end.start(), label
                )
            position = end.end()
        size = len(self.text)
        return Region(
            RegionKind.FENCE, match.start(), size, start_inside, size, label, closed=False
        )

    def _until(
        self,
        kind: RegionKind,
        match: re.Match[str],
        closing: str,
        *,
        required: bool,
        label: str = "",
    ) -> Region | None:
        end = -1 if closing in self.never else self.lower.find(closing, match.end())
        if end >= 0:
            after = end + len(closing)
            return Region(kind, match.start(), after, match.end(), end, label)
        self.never.add(closing)
        if required:
            return None
        size = len(self.text)
        return Region(kind, match.start(), size, match.end(), size, label, closed=False)

    def _diagram(self, match: re.Match[str]) -> Region:
        depth = 1
        for brace in _BRACES.finditer(self.text, match.end()):
            depth += 1 if brace[0] == "{{" else -1
            if depth == 0:
                return Region(
                    RegionKind.DIAGRAM, match.start(), brace.end(), match.end(), brace.start()
                )
        size = len(self.text)
        return Region(RegionKind.DIAGRAM, match.start(), size, match.end(), size, closed=False)

    def _inline(self, match: re.Match[str]) -> Region | None:
        ticks = match["ticks"]
        line_end = self.text.find("\n", match.end())
        line_end = len(self.text) if line_end < 0 else line_end
        end = self.text.find(ticks, match.end(), min(line_end, match.end() + _MAX_INLINE))
        if end < 0:
            return None
        return Region(RegionKind.INLINE, match.start(), end + len(ticks), match.end(), end)


def _ascii_lower(text: str) -> str:
    """Lower case that never changes the length, as ``İ`` would."""
    return text.translate({code: code + 32 for code in range(ord("A"), ord("Z") + 1)})


def masked(text: str, found: Collection[Region], *, keep: Collection[RegionKind] = ()) -> str:
    """``text`` with the regions blank, those of the kinds in ``keep`` excepted.

    Line breaks stay, so offsets and line numbers are those of ``text``. A byte order mark, with
    which some editors begin a file, is blank too.
    """
    pieces: list[str] = []
    position = 0
    for region in found:
        if region.kind in keep:
            continue
        pieces.append(text[position : region.start])
        pieces.append(re.sub(r"[^\n]", " ", text[region.start : region.end]))
        position = region.end
    pieces.append(text[position:])
    return re.sub(r"\A\ufeff", " ", "".join(pieces))


def without_comments(text: str, found: Collection[Region] | None = None) -> str:
    """``text`` with its comments blank; every other character keeps its offset."""
    found = regions(text) if found is None else found
    return masked(text, [region for region in found if region.kind is RegionKind.COMMENT])
