"""Rows of JSON lines, JSON, CSV and ``datasets`` folders. Files are read line by line.

A broken row among others is rejected and counted. A file that is broken as a whole (its encoding,
an open quote, no readable row) raises ``InputError`` with file and line.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from finetuning.data.columns import Columns, find_columns
from finetuning.data.rows import Rejected, SourceRow
from finetuning.data.sources import Kind
from probes.errors import InputError

Item = SourceRow | Rejected
Advance = Callable[[int], None]
"""Told how many bytes were read since the last call."""
Record = tuple[str, Mapping[str, Any]]

BROKEN_JSON, NO_TABLE = "broken JSON", "row is not a table of names and values"
BROKEN_CSV, FIELD_COUNT = "broken CSV", "wrong number of fields"
PEEKED_ROWS = 100
"""Columns are looked for in this many rows, since a single one may leave some out."""
LARGEST_FIELD = 100_000_000
"""Characters of one CSV field; the library's own limit of 131,072 is met by real completions."""
UTF16 = (b"\xff\xfe", b"\xfe\xff")


def read_table(
    path: Path, kind: Kind, advance: Advance, taken: Callable[[str], None]
) -> Iterator[Item]:
    """The rows of a file, in its order. ``taken`` is told which columns were taken.

    Raises ``InputError``; see the module.
    """
    records: Iterator[Record | Rejected]
    if kind is Kind.CSV:
        records = _csv_records(path, advance)
    elif kind is Kind.LINES:
        records = _line_records(path, advance)
    elif kind is Kind.JSON:
        records = _json_records(path, advance)
    else:
        records = _dataset_records(path, advance, taken)
    peeked = list(itertools.islice(records, PEEKED_ROWS))
    good = [one for one in peeked if isinstance(one, tuple)]
    if peeked and isinstance(peeked[0], Rejected) and not good:
        raise InputError(f"{peeked[0].place}: {peeked[0].reason}. {peeked[0].text}".strip())
    if not peeked:
        return
    columns = find_columns({name: None for _, record in good for name in record}, str(path))
    taken(columns.described())
    yield from _rows(itertools.chain(peeked, records), columns)


def _rows(records: Iterable[Record | Rejected], columns: Columns) -> Iterator[Item]:
    for record in records:
        yield record if isinstance(record, Rejected) else columns.row(record[1], record[0])


def lines(path: Path, advance: Advance) -> Iterator[str]:
    """Lines with their ends; a byte order mark is left out.

    Raises ``InputError`` where the file cannot be read or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            if file.peek(2)[:2] in UTF16:
                raise InputError(f"{path}, line 1: the file is UTF-16. Convert it to UTF-8.")
            for number, data in enumerate(file, 1):
                advance(len(data))
                try:
                    yield data.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise InputError(
                        f"{path}, line {number}: byte {error.start + 1} "
                        f"(0x{data[error.start]:02x}) is not UTF-8. Convert the file to UTF-8."
                    ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error


def _line_records(path: Path, advance: Advance) -> Iterator[Record | Rejected]:
    for number, line in enumerate(lines(path, advance), 1):
        if not line.strip():
            continue
        place = f"{path}, line {number}"
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Rejected(BROKEN_JSON, place, f"{error}: {_start(line)}")
            continue
        yield _record(value, place)


def _json_records(path: Path, advance: Advance) -> Iterator[Record | Rejected]:
    text = "".join(lines(path, advance))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is broken JSON: {error}.") from None
    if not isinstance(value, list):
        raise InputError(f"{path}: give a list of rows, one row a line, or a game log.")
    for number, one in enumerate(value, 1):
        yield _record(one, f"{path}, row {number}")


def _record(value: Any, place: str) -> Record | Rejected:
    if isinstance(value, dict):
        return place, value
    return Rejected(NO_TABLE, place, _start(json.dumps(value, ensure_ascii=False)))


def _csv_records(path: Path, advance: Advance) -> Iterator[Record | Rejected]:
    usual = csv.field_size_limit(LARGEST_FIELD)
    try:
        yield from _csv_rows(path, advance)
    finally:
        csv.field_size_limit(usual)


def _csv_rows(path: Path, advance: Advance) -> Iterator[Record | Rejected]:
    source = lines(path, advance)
    header = next(source, None)
    if header is None:
        return
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(itertools.chain([header], source), delimiter=delimiter, strict=True)
    names: list[str] | None = None
    while True:
        begun = reader.line_num + 1
        place = f"{path}, line {begun}"
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end of data" in str(error):
                raise InputError(f"{place}: a quote is opened and never closed.") from None
            yield Rejected(BROKEN_CSV, place, str(error))
            continue
        if not fields:
            continue
        if names is None:
            names = [name.strip() for name in fields]
            if len(set(names)) < len(names):
                raise InputError(f"{place}: a column is named twice: {', '.join(names)}.")
        elif len(fields) != len(names):
            yield Rejected(FIELD_COUNT, place, f"{len(fields)} instead of {len(names)}")
        else:
            yield place, dict(zip(names, fields))


def _dataset_records(
    path: Path, advance: Advance, taken: Callable[[str], None]
) -> Iterator[Record | Rejected]:
    try:
        import datasets
    except ImportError:
        raise InputError(
            f"{path} is a folder of the library datasets, which is not installed here. Install it, "
            "or save the rows as JSON lines."
        ) from None
    try:
        loaded = datasets.load_from_disk(str(path))
    except Exception as error:
        raise InputError(f"{path} cannot be loaded by the library datasets: {error}") from error
    name = ""
    if isinstance(loaded, dict):
        name = "train" if "train" in loaded else next(iter(loaded), "")
        if not name or ("train" not in loaded and len(loaded) > 1):
            raise InputError(
                f"{path} has no split train. Its splits: {', '.join(loaded) or 'none'}."
                + (f" Give the folder of one: {path / name}." if name else "")
            )
        others = [one for one in loaded if one != name]
        taken(f"split {name}" + (f", and not {', '.join(others)}" if others else ""))
        loaded = loaded[name]
    total = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    count = max(1, len(loaded))
    for number, record in enumerate(loaded, 1):
        advance(total * number // count - total * (number - 1) // count)
        yield f"{path}{'/' + name if name else ''}, row {number}", record


def _start(text: str) -> str:
    text = text.strip()
    return text if len(text) <= 60 else text[:59] + "…"
