"""The blocks of a page, in order: headings, paragraphs, lists, tables, code and diagrams.

Code, comments and diagrams are taken out first; in the prose a token stands for each, made of
characters that no page can hold because they are replaced before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from knowledge.markup import Region, RegionKind, regions
from knowledge.mermaid import parse_flowchart
from knowledge.tables import TableRow, table_at

OPEN, CLOSE = "\ue000", "\ue001"
TOKEN = re.compile(f"{OPEN}(\\d{{1,7}}){CLOSE}")
MAX_LIST_DEPTH = 6
_FIRST_LINE = re.compile(r"\A\ufeff?#[ \t]+[A-Za-z]+[ \t]*:[^\n]*\n?")
_HEADING = re.compile(r"(={2,6})(?!=)[ \t]*([^\n]*?[^=\s])[ \t]*(={2,6})[ \t\r]*\Z")
_ITEM = re.compile(r"(?P<marks>[*#]+|-(?=[ \t]))[ \t]*(?P<text>[^\n]*)\Z")
_NUMBERED = re.compile(r"\d{1,3}[.)][ \t]+(?P<text>[^\n]*)\Z")


@dataclass(frozen=True)
class Heading:
    """A heading; ``level`` from 2 to 6."""

    level: int
    text: str


@dataclass(frozen=True)
class Paragraph:
    """Lines of prose, joined."""

    text: str


@dataclass(frozen=True)
class Item:
    """An item of a list; ``depth`` from 1."""

    depth: int
    ordered: bool
    text: str


@dataclass(frozen=True)
class List:
    """Items that stand together."""

    items: tuple[Item, ...]


@dataclass(frozen=True)
class Grid:
    """A table."""

    rows: tuple[TableRow, ...]


@dataclass(frozen=True)
class Code:
    """A block of code."""

    text: str
    language: str


@dataclass(frozen=True)
class DiagramBlock:
    """A Mermaid diagram; ``well_formed`` if Mermaid may be given it."""

    text: str
    well_formed: bool


Block = Heading | Paragraph | List | Grid | Code | DiagramBlock


@dataclass(frozen=True)
class BlockDocument:
    """The blocks of a page, and the code that the tokens in them stand for."""

    blocks: tuple[Block, ...]
    code: tuple[str, ...]
    """By the number in a token; an empty text for what is not shown."""


def read_blocks(text: str) -> BlockDocument:
    """The blocks of a page's text."""
    text = re.sub(f"[{OPEN}{CLOSE}]", "\ufffd", text)
    found = regions(text)
    first = _FIRST_LINE.match(text)
    prose, code = _with_tokens(text, found, first.end() if first else 0)
    return BlockDocument(tuple(_Blocks(prose.split("\n"), found, code).read()), tuple(code))


def read_cell(
    cell: str, document: BlockDocument, found: Sequence[Region] = ()
) -> tuple[Block, ...]:
    """The blocks of a cell of a table of the document; tokens in it are shown as code."""
    return tuple(_Blocks(cell.split("\n"), found, list(document.code)).read())


def block_of(region: Region, text: str) -> Code | DiagramBlock | None:
    """The block that a region is if it stands alone on its lines."""
    fence = region.kind is RegionKind.FENCE
    if region.kind is RegionKind.DIAGRAM or (fence and region.label.lower() == "mermaid"):
        chart = parse_flowchart(region.inner(text))
        return DiagramBlock(_dedent(region.inner(text)), not chart.problems)
    if fence or (region.kind is RegionKind.TAG and region.label != "nowiki"):
        language = re.match(r"[\w+-]{0,30}", region.label)
        known = language[0] if language and (fence or region.label == "math") else ""
        return Code(region.inner(text).strip("\r\n"), known)
    return None


def _with_tokens(text: str, found: Sequence[Region], start: int) -> tuple[str, list[str]]:
    pieces: list[str] = []
    code: list[str] = []
    position = start
    for number, region in enumerate(found):
        code.append("" if region.kind is RegionKind.COMMENT else region.inner(text))
        if region.end <= start:
            continue
        pieces.append(text[position : region.start])
        if region.kind is not RegionKind.COMMENT:
            pieces.append(f"{OPEN}{number}{CLOSE}")
        position = region.end
    pieces.append(text[position:])
    return "".join(pieces), code


def _dedent(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().split("\n"))


class _Blocks:
    def __init__(self, lines: list[str], found: Sequence[Region], code: list[str]) -> None:
        self.lines, self.found, self.code = lines, found, code
        self.blocks: list[Block] = []
        self.paragraph: list[str] = []
        self.items: list[Item] = []

    def read(self) -> list[Block]:
        index = 0
        while index < len(self.lines):
            line = self.lines[index].strip()
            if table := table_at(self.lines, index, 0):
                self._flush()
                self.blocks.append(Grid(table.rows))
                index = table.end_line + 1
                continue
            if not line:
                self._flush()
            elif block := self._alone(line):
                self._flush()
                self.blocks.append(block)
            elif heading := _HEADING.match(line):
                self._flush()
                self.blocks.append(Heading(len(heading[1]), heading[2].strip()))
            elif item := _item(line):
                self._flush_paragraph()
                self.items.append(item)
            elif self.items and self.lines[index][:1] in " \t":
                last = self.items[-1]
                self.items[-1] = Item(last.depth, last.ordered, f"{last.text} {line}")
            else:
                self._flush_items()
                self.paragraph.append(line)
            index += 1
        self._flush()
        return self.blocks

    def _alone(self, line: str) -> Block | None:
        token = TOKEN.fullmatch(line)
        if token is None:
            return None
        number = int(token[1])
        if number >= len(self.found):
            return None
        region = self.found[number]
        if region.kind is RegionKind.INLINE:
            return None
        inner = self.code[int(token[1])]
        return block_of(
            Region(region.kind, 0, len(inner), 0, len(inner), region.label, region.closed), inner
        )

    def _flush(self) -> None:
        self._flush_paragraph()
        self._flush_items()

    def _flush_paragraph(self) -> None:
        if self.paragraph:
            self.blocks.append(Paragraph(" ".join(self.paragraph)))
            self.paragraph = []

    def _flush_items(self) -> None:
        if self.items:
            self.blocks.append(List(tuple(self.items)))
            self.items = []


def _item(line: str) -> Item | None:
    if numbered := _NUMBERED.match(line):
        return Item(1, True, numbered["text"])
    match = _ITEM.match(line)
    if match is None or (line.startswith("**") and "**" in line[2:]):
        return None
    marks = match["marks"]
    return Item(min(len(marks), MAX_LIST_DEPTH), marks[-1] == "#", match["text"])
