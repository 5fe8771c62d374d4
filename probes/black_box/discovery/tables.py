"""The headings of tables, and the rows below them: cells by the name of their column."""

from __future__ import annotations

import re

from probes.black_box.discovery.text import TIME
from probes.black_box.discovery.vocabulary import Kind, kind_of

_NAME = r"[A-Za-z_][\w/.-]*"
_HEADING = re.compile(rf"[#\s|]*{_NAME}(?:(?:\s*[,;|]\s*|\s+){_NAME})+[\s|]*")
_WORDS = re.compile(_NAME)
_CSV = re.compile(
    r"\s*-?\d+\s*(?:[,;]\s*(?:(?:-?[\d.]+(?:e[-+]?\d+)?|nan|inf|-)\s*)?)+", re.IGNORECASE
)
_CELL = re.compile(
    rf"[-+]?[\d.]+(?:e[-+]?\d+)?\s?(?:s|ms|m|h|%)?|(?:[\d._:/-]|{TIME})+|nan|inf|n/a|-",
    re.IGNORECASE,
)
_BORDERS = "|│┃"
_SEPARATORS = [re.compile(each) for each in (rf"[{_BORDERS}]", ";", ",", "\t", r"\s{2,}")]
_TEXT = re.compile(r"[A-Za-z]{4}")
"""What no cell of a row holds, in which there are units, ``nan`` and ``inf``."""
_SPACE = re.compile(r"\s+")
_COUNTS = {Kind.STEP, Kind.ITERATION, Kind.BATCH, Kind.EPOCH}


class Table:
    """Remembers the last heading. ``cells`` are those of a row below it."""

    def __init__(self) -> None:
        self._heading = ""
        self._names: list[list[str]] = []
        """The names in it, by each way to split it."""
        self._fractions: set[str] = set()
        """Columns in which a number had a fraction: ``epoch`` in 0.5, 1.0, 1.5."""

    def hear(self, text: str) -> None:
        """A line without numbers, which may be a heading."""
        is_bordered = text.strip()[:1] in (*_BORDERS,) and text.strip()[-1:] in (*_BORDERS,)
        if _HEADING.fullmatch(text) or (is_bordered and _is_titled(_split(text)[0])):
            self._heading, self._fractions = text, set()
            self._names = [*_splits(text), _WORDS.findall(text)]

    def csv(self, text: str) -> list[tuple[str, str]]:
        """As ``cells``, for a row that begins with a whole number and needs no heading."""
        if not _CSV.fullmatch(text):
            return []
        cells = re.split(r"\s*[,;]\s*", text.strip())
        return self._named(cells) or [("", cell) for cell in cells]

    def cells(self, text: str, *, is_row: bool) -> list[tuple[str, str]]:
        """Name and text of each cell below a heading; none for what is no row of its table.
        ``is_row``: the line holds nothing but numbers."""
        if not self._heading or _TEXT.search(text):
            return []
        for cells in _splits(text):
            named = self._named(cells) if is_row or all(map(_is_cell, cells)) else []
            if named:
                return named
        return self._aligned(text) if is_row else []

    def _named(self, cells: list[str]) -> list[tuple[str, str]]:
        for names in self._names:
            if 1 < len(names) == len(cells):
                return [*zip(names, cells)]
        return []

    def _aligned(self, text: str) -> list[tuple[str, str]]:
        """The cells of a row whose last ones are empty, by where they begin."""
        names = {match.start(): match[0] for match in re.finditer(r"\S+", self._heading)}
        cells = [(names.get(match.start(), ""), match[0]) for match in re.finditer(r"\S+", text)]
        return cells if len(cells) > 1 and all(name for name, _ in cells) else []

    def number(self, name: str, cell: str) -> int | None:
        """The whole number in a cell. ``49.0`` is one where the column is called step or epoch."""
        if cell.isdecimal():
            return int(cell) if len(cell) < 16 else None
        whole, _, rest = cell.partition(".")
        if kind_of(name) not in _COUNTS or not whole.isdecimal() or len(whole) > 15:
            return None
        if rest.strip("0"):
            self._fractions.add(name)
        return None if name in self._fractions or not rest else int(whole)


def _split(text: str) -> list[list[str]]:
    stripped = text.strip().strip(_BORDERS).strip()
    lists = [each.split(stripped) for each in _SEPARATORS if each.search(stripped)]
    return [[cell.strip() for cell in cells] for cells in lists] or [[stripped]]


def _splits(text: str) -> list[list[str]]:
    """The cells of a line by each of the separators that it may have."""
    return [*_split(text), _SPACE.split(text.strip())]


def _is_titled(cells: list[str]) -> bool:
    return len(cells) > 1 and all(re.search("[A-Za-z]", cell) for cell in cells)


def _is_cell(cell: str) -> bool:
    return not cell or _CELL.fullmatch(cell) is not None
