"""Tables of a page, read from its text: ``{| … |}`` and the form with bars that Markdown has."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_ROWS = 2000
_SEPARATOR = re.compile(r"^\|?\s*:?-{2,}:?\s*(\|\s*:?-{2,}:?\s*)*\|?$")
_ATTRIBUTES = re.compile(r"\s*[a-z-]+\s*=\s*(\"[^\"|]*\"|'[^'|]*'|[\w-]+)", re.IGNORECASE)


@dataclass(frozen=True)
class Row:
    """A row; the cells are markup, without white space at their ends."""

    cells: tuple[str, ...]
    line: int
    header: bool = False


@dataclass(frozen=True)
class Table:
    """A table; ``line`` is that of its first line."""

    rows: tuple[Row, ...]
    line: int
    end_line: int
    closed: bool = True

    @property
    def header(self) -> tuple[str, ...]:
        """The cells of the first row if it is a heading; else empty."""
        return self.rows[0].cells if self.rows and self.rows[0].header else ()

    @property
    def body(self) -> tuple[Row, ...]:
        """The rows below the heading."""
        return self.rows[1:] if self.header else self.rows


def find_tables(text: str, first_line: int = 1) -> tuple[Table, ...]:
    """The tables of a text whose first line has the number ``first_line``.

    A table in a table is not read; its lines are part of the cell that it stands in.
    """
    lines = text.split("\n")
    found: list[Table] = []
    index = 0
    while index < len(lines):
        line = lines[index].strip()
        if line.startswith("{|"):
            table, index = _wiki_table(lines, index, first_line)
            found.append(table)
        elif line.startswith("|") and index + 1 < len(lines) and _is_separator(lines[index + 1]):
            table, index = _bar_table(lines, index, first_line)
            found.append(table)
        else:
            index += 1
    return tuple(found)


def _is_separator(line: str) -> bool:
    line = line.strip()
    return len(line) < 500 and "|" in line and bool(_SEPARATOR.match(line))


def _wiki_table(lines: list[str], start: int, first_line: int) -> tuple[Table, int]:
    rows: list[Row] = []
    cells: list[str] = []
    row_line, header, depth, index = start, False, 1, start + 1

    def finish() -> None:
        if cells and len(rows) < MAX_ROWS:
            texts = tuple(cell.strip() for cell in cells)
            rows.append(Row(texts, first_line + row_line, header))

    while index < len(lines) and depth:
        line = lines[index].strip()
        if line.startswith("{|"):
            depth += 1
        if line.startswith("|}"):
            depth -= 1
        if depth == 1 and not line.startswith("|}"):
            if line.startswith("|-"):
                finish()
                cells, header, row_line = [], False, index
            elif line.startswith(("|", "!")) and not line.startswith("|+"):
                if not cells:
                    header, row_line = line.startswith("!"), index
                elif not line.startswith("!"):
                    header = False
                cells.extend(_split_cells(line))
            elif cells:
                cells[-1] += "\n" + lines[index]
        elif depth > 1 and cells:
            cells[-1] += "\n" + lines[index]
        index += 1
    finish()
    closed = depth == 0
    return Table(tuple(rows), first_line + start, first_line + index - 1, closed), index


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


def _bar_table(lines: list[str], start: int, first_line: int) -> tuple[Table, int]:
    rows = [Row(_bar_cells(lines[start]), first_line + start, header=True)]
    index = start + 2
    while index < len(lines) and lines[index].strip().startswith("|"):
        if len(rows) < MAX_ROWS:
            rows.append(Row(_bar_cells(lines[index]), first_line + index))
        index += 1
    return Table(tuple(rows), first_line + start, first_line + index - 1), index


def _bar_cells(line: str) -> tuple[str, ...]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return tuple(cell.strip().replace("\\|", "|") for cell in split_outside_links(inner, "|"))


def split_outside_links(text: str, mark: str) -> list[str]:
    """``text`` split at ``mark`` where it is in no ``[[…]]``, no backticks and not escaped."""
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
