"""Tables of a page, read from its text: ``{| … |}`` and the form with bars that Markdown has."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_ROWS = 2000
_RULE = r"\s*(?::?-{2,}:?|:-:?|-:)\s*"
_SEPARATOR = re.compile(rf"^\|?{_RULE}(?:\|{_RULE})*\|?$")
_ATTRIBUTES = re.compile(r"\s*[a-z-]+\s*=\s*(\"[^\"|]*\"|'[^'|]*'|[\w-]+)", re.IGNORECASE)


@dataclass(frozen=True)
class TableRow:
    """A row; the cells are markup, without white space at their ends."""

    cells: tuple[str, ...]
    line: int
    headings: int = 0
    """How many of its first cells are headings."""
    spans: bool = False
    """Whether a cell of it spans several rows or columns."""

    @property
    def header(self) -> bool:
        """Whether every cell is a heading."""
        return self.headings == len(self.cells)


@dataclass(frozen=True)
class PageTable:
    """A table; ``line`` is that of its first line."""

    rows: tuple[TableRow, ...]
    line: int
    end_line: int
    closed: bool = True

    @property
    def header(self) -> tuple[str, ...]:
        """The cells of the first row if it is a heading; else empty."""
        return self.rows[0].cells if self.rows and self.rows[0].header else ()

    @property
    def body(self) -> tuple[TableRow, ...]:
        """The rows below the heading."""
        return self.rows[1:] if self.header else self.rows


def find_tables(text: str, first_line: int = 1) -> tuple[PageTable, ...]:
    """The tables of a text whose first line has the number ``first_line``.

    A table in a table is not read; its lines are part of the cell that it stands in.
    """
    lines = text.split("\n")
    found: list[PageTable] = []
    index = 0
    while index < len(lines):
        table = table_at(lines, index, first_line)
        if table is None:
            index += 1
        else:
            found.append(table)
            index = table.end_line - first_line + 1
    return tuple(found)


def table_at(lines: Sequence[str], index: int, first_line: int = 1) -> PageTable | None:
    """The table that begins at ``lines[index]``; ``None`` if none does."""
    line = lines[index].strip()
    if line.startswith("{|"):
        return _wiki_table(lines, index, first_line)
    if line.startswith("|") and index + 1 < len(lines) and _is_separator(lines[index + 1]):
        return _bar_table(lines, index, first_line)
    return None


def _is_separator(line: str) -> bool:
    line = line.strip()
    return len(line) < 500 and "|" in line and bool(_SEPARATOR.match(line))


def _wiki_table(lines: Sequence[str], start: int, first_line: int) -> PageTable:
    rows: list[TableRow] = []
    cells: list[str] = []
    row_line, headings, depth, index = start, 0, 1, start + 1
    spans = False

    def finish() -> None:
        if cells and len(rows) < MAX_ROWS:
            texts = tuple(cell.strip() for cell in cells)
            rows.append(TableRow(texts, first_line + row_line, headings, spans))

    while index < len(lines) and depth:
        line = lines[index].strip()
        if line.startswith("{|"):
            depth += 1
        if line.startswith("|}"):
            depth -= 1
        if depth == 1 and not line.startswith("|}"):
            if line.startswith("|-"):
                finish()
                cells, headings, row_line, spans = [], 0, index, False
            elif line.startswith(("|", "!")) and not line.startswith("|+"):
                if not cells:
                    row_line = index
                added = _split_cells(line)
                spans = spans or re.search(r"(?:row|col)span", line) is not None
                if line.startswith("!") and headings == len(cells):
                    headings += len(added)
                cells.extend(added)
            elif cells:
                cells[-1] += "\n" + lines[index]
        elif depth > 1 and cells:
            cells[-1] += "\n" + lines[index]
        index += 1
    finish()
    closed = depth == 0
    return PageTable(tuple(rows), first_line + start, first_line + index - 1, closed)


def _split_cells(line: str) -> list[str]:
    """The cells of a line of a wiki table, attributes like ``style="…" |`` dropped."""
    mark, rest = line[0], line[1:]
    parts = split_outside_links(rest, "!!" if mark == "!" else "||")
    if mark == "!" and len(parts) == 1:
        parts = split_outside_links(rest, "||")
    return [_without_attributes(part) for part in parts]


def _without_attributes(cell: str) -> str:
    pieces = split_outside_links(cell, "|")
    if len(pieces) > 1 and _ATTRIBUTES.match(pieces[0]):
        return "|".join(pieces[1:])
    return cell


def _bar_table(lines: Sequence[str], start: int, first_line: int) -> PageTable:
    heading = _bar_cells(lines[start])
    rows = [TableRow(heading, first_line + start, headings=len(heading))]
    index = start + 2
    while index < len(lines) and lines[index].strip().startswith("|"):
        if len(rows) < MAX_ROWS:
            rows.append(TableRow(_bar_cells(lines[index]), first_line + index))
        index += 1
    return PageTable(tuple(rows), first_line + start, first_line + index - 1)


def _bar_cells(line: str) -> tuple[str, ...]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return tuple(cell.strip().replace("\\|", "|") for cell in split_outside_links(inner, "|"))


def split_outside_links(text: str, mark: str) -> list[str]:
    """``text`` split at ``mark`` where it is in no ``[[…]]``, no backticks and not escaped."""
    if "[[" not in text and "`" not in text and "\\|" not in text:
        return text.split(mark)
    pieces: list[str] = []
    start = index = 0
    link, code = False, False
    while index < len(text):
        if text.startswith("\\|", index):
            index += 2
            continue
        if text[index] == "`":
            code = not code and "`" in text[index + 1 : index + 500]
        elif text.startswith("[[", index):
            link = text.find("]]", index, index + 1000) >= 0
        elif text.startswith("]]", index):
            link = False
        elif not link and not code and text.startswith(mark, index):
            pieces.append(text[start:index])
            index += len(mark)
            start = index
            continue
        index += 1
    pieces.append(text[start:])
    return pieces
