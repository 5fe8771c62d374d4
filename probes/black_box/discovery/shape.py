"""From a line of text to the whole numbers in it, each with what stands before and after it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice

from probes.black_box.discovery.losses import Loss, loss_in
from probes.black_box.discovery.tables import Table
from probes.black_box.discovery.text import BAR, TIME, without_details
from probes.black_box.discovery.vocabulary import (
    SIZE_UNITS,
    TIME_UNITS,
    tells_of_progress,
    words_of,
)

NUMBER = re.compile(
    r"\d(?:(?<![\w.]\d)|(?<=(?:[Ss]tep|[Ii]ter|poch|atch)\d))"
    r"(?:\d{0,2}(?:,\d{3})+(?!\d|,\d)|\d*)(?:\.\d*)?(?:[eE][-+]?\d+)?"
    r"|\.\d+(?<![\w.]\.\d)(?:[eE][-+]?\d+)?"
)
_NOT_FINITE = re.compile(r"\b(?:nan|inf)\b", re.IGNORECASE)
_SIGN = re.compile(r"(?:^|[\s=:(,\[|'])[-+]$")
_RANK = re.compile(
    r"^\s*(?:\[(?:rank|default)[ _:]{0,3}(?P<a>\d+)\]:?|\((?:\w+ )?pid=(?P<b>\d+)[^)]*\)"
    r"|rank[ _:=]?(?P<c>\d+)\s*[:|\]])|\[rank[ _:=]{0,3}(?P<d>\d+)\]",
    re.IGNORECASE,
)
_NAME = re.compile(r"[A-Za-z][A-Za-z_/. -]*$")
_UNIT = re.compile(r"[A-Za-z]+")
DURATION = re.compile(r"(?:ms|s|m|h)(?![A-Za-z/])")
"""The unit of a duration. ``70ms`` and ``1s70ms`` (see ``text.TIME``) are the same kind of text."""
_WORD_AFTER = re.compile(
    r" ?(batch(?:es)?|steps?|iter(?:s|ations?)?|updates?|samples?|examples?|images?|imgs?|records?"
    r"|rows?|sequences?|sentences?)\b(?!\s?(?:/|per\b))",
    re.IGNORECASE,
)
_RATE = re.compile(r"[\d.?]+\s?([A-Za-z]*)/(?:s|sec)\b|[\d.]+\s?s/([A-Za-z]+)")
_MEASURED = [[word] for word in ("time", "elapsed", "took", "eta", "mem", "memory")]
MOST_NUMBERS = 60

Key = tuple[str, str, int | None]
"""Where a number stands: its rank, the text before it, and what it counts up to."""


@dataclass(frozen=True)
class Slot:
    """A whole number that is not negative, and where it stands in the line."""

    prefix: str
    """What stands before it, without white space, every number replaced by ``#``."""
    value: int
    name: str
    """The words right before it, or right after it (``12 batches``)."""
    total: int | None
    """The 500 in ``12/500``."""
    unit: str
    """Letters right after it: ``ms`` in ``46ms``."""
    is_bar: bool
    start: int
    """Where it begins in ``Line.text``."""
    end: int
    """Where it ends, its total included."""

    @property
    def is_of_time_or_size(self) -> bool:
        """Whether a unit or the last word before it says that it measures time or memory."""
        unit, words = self.unit.lower(), words_of(self.name)
        return unit in TIME_UNITS or unit in SIZE_UNITS or words[-1:] in _MEASURED


@dataclass(frozen=True)
class OutputLine:
    """A line of output as numbers with words between them."""

    text: str
    """Without times, bars and files; see ``text.without_details``."""
    rank: str
    """The process that printed it, where the line tells; empty otherwise."""
    slots: list[Slot]
    is_row: bool = False
    """It is a row of a table: nothing but numbers."""
    loss: Loss | None = None
    """Name and value of the loss in a row of a table with headings."""


class LineReader:
    """Reads lines one by one. It remembers the headings of tables and of CSV files."""

    def __init__(self) -> None:
        self._table = Table()

    def read(self, raw: str) -> OutputLine:
        rank = ""
        if "rank" in raw or "Rank" in raw or "pid=" in raw or "[default" in raw:
            match = _RANK.search(raw[:200])
            if match:
                rank = match["a"] or match["b"] or match["c"] or match["d"]
                raw = raw[: match.start()] + raw[match.end() :]
        text = without_details(raw)
        if cells := self._table.csv(text):
            return self._row(cells, text, rank)
        slots, is_row = self._slots(text)
        if cells := self._table.cells(text, is_row=is_row):
            return self._row(cells, text, rank)
        if not slots:
            self._table.hear(text)
        return OutputLine(text, rank, slots)

    def _row(self, cells: list[tuple[str, str]], text: str, rank: str) -> OutputLine:
        """A row of a table, its cells named by their columns."""
        slots, at, loss = [], 0, None
        for index, (name, cell) in enumerate(cells):
            start = text.find(cell, at)
            at = start + len(cell)
            number = self._table.number(name, cell)
            if number is not None:
                slots.append(Slot("#," * index, number, name, None, "", False, start, at))
            elif loss is None and name:
                loss = loss_in(f"{name}: {cell}")
        return OutputLine(text, rank, slots, True, loss)

    def _slots(self, text: str) -> tuple[list[Slot], bool]:
        """The whole numbers of a line; whether it holds nothing but numbers."""
        if "nan" in text or "inf" in text or "NaN" in text:
            text = _NOT_FINITE.sub(lambda match: "0" * len(match[0]), text)
        slots: list[Slot] = []
        prefix, end, name, percent_name = "", 0, "", ""
        has_words = bar_percent = False
        numbers = [*islice(NUMBER.finditer(text), MOST_NUMBERS)]
        for match in numbers:
            start = match.start()
            piece = text[end:start]
            compact = "".join(piece.split())
            if prefix.endswith("#") and (duration := DURATION.match(compact)):
                prefix, compact = prefix[:-1] + TIME, compact[duration.end() :]
            if _SIGN.search(piece):
                compact = compact[:-1]
            has_words = has_words or bool(compact)
            digits = match[0]
            end = match.end()
            prefix += compact
            if slots and compact in ("/", "of") and f"{slots[-1].prefix}#{compact}" == prefix:
                part = slots[-1] = _with_total(slots[-1], digits, text, end)
                if (
                    part.total is not None and not part.is_bar
                ):  # "Batch 3/1200": epoch 3, batch 1200
                    slots.append(Slot(prefix, part.total, part.name, None, "", False, start, end))
                prefix += "#"
                continue
            name = _name(piece)
            if text[end : end + 1] == "%":
                percent_name = name
                bar_percent = BAR in piece
            elif (value := _whole(digits)) is not None:
                is_bar = BAR in piece or (bar_percent and not name)
                if is_bar and not name:
                    name = percent_name if "%" in piece else ""
                unit = _UNIT.match(text, end)
                slots.append(
                    Slot(
                        prefix,
                        value,
                        _name_of(name, text, end),
                        None,
                        unit[0] if unit else "",
                        is_bar,
                        start,
                        end,
                    )
                )
                percent_name, bar_percent = "", False
            prefix += "#"
        tail = text[end:]
        return slots, len(numbers) > 1 and not has_words and not tail.strip()


def _with_total(slot: Slot, digits: str, text: str, end: int) -> Slot:
    """A slot, with the number after its slash as what it counts up to."""
    total = _whole(digits)
    unit = _UNIT.match(text, end)
    return Slot(
        slot.prefix,
        slot.value,
        _name_of(slot.name, text, end),
        total,
        unit[0] if unit else slot.unit,
        slot.is_bar or text[end : end + 4].lstrip().startswith(BAR),
        slot.start,
        end,
    )


def _whole(digits: str) -> int | None:
    if digits.isdecimal():
        return int(digits) if len(digits) < 16 else None
    whole, _, rest = digits.replace(",", "").partition(".")
    if whole.isdecimal() and len(whole) < 16 and not rest.strip("0"):
        return int(whole)
    return None


def _name(piece: str) -> str:
    match = _NAME.search(piece.rstrip(" \t:=#[](|<>\"'-▌%*"))
    return match[0] if match else ""


def _name_of(before: str, text: str, end: int) -> str:
    """The word that says what a number counts: ``step 12``, ``12 steps``, ``seen 12 steps``."""
    if before and not tells_of_progress(before):
        return before
    match = _WORD_AFTER.match(text, end)
    return match[1] if match else before


def rate_unit(text: str) -> str | None:
    """What passes per second by a progress bar (``it``, ``examples``); ``None`` without a rate."""
    match = _RATE.search(text)
    return None if match is None else (match[1] or match[2] or "").lower()
