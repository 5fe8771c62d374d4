"""Moving results from one database to another, as JSON lines."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

from sqlalchemy.exc import IntegrityError, NoResultFound

from app.clock import utc_now
from app.database import Database
from app.retention import archive_repository as repository
from app.retention.lines import (
    FIRST_VERSION,
    FORMAT,
    VERSION,
    header_from,
    line_from,
    written,
    wrong_line,
)
from probes.errors import InputError

PER_TRANSACTION = 200
"""Lines imported in one transaction, so that other writers need not wait for the whole file."""


class Imported(NamedTuple):
    """Lines by kind."""

    added: dict[str, int]
    known: dict[str, int]
    """Lines that were here already."""


def export_results(database: Database, output: IO[str]) -> dict[str, int]:
    """Write all results as of one moment; returns the number of lines by kind.

    Jobs, runners, keys and claims are left out: they have a meaning in their own database only.
    """
    count: Counter[str] = Counter()
    made_by = {"tonnage": version("tonnage"), "made_at": utc_now()}
    with database.snapshot() as session:
        number = VERSION if repository.has_later_kinds(session) else FIRST_VERSION
        lines = repository.line_count(session)
        header = {"format": FORMAT, "version": number, **made_by, "lines": lines}
        output.write(written("header", header))
        for kind, values in repository.everything(session):
            output.write(written(kind, values))
            count[kind] += 1
    return dict(count)


def import_results(database: Database, lines: Iterable[str], source: str) -> Imported:
    """Add the results of an export that this database does not have yet. Importing it again adds
    nothing.

    Raises ``InputError`` for a file that is not an export, is from a newer Tonnage, was cut off, or
    has an invalid line; the lines before it are imported.
    """
    numbered = enumerate(lines, 1)
    header = header_from(next(numbered, (1, ""))[1], source)
    added: Counter[str] = Counter()
    known: Counter[str] = Counter()
    while chunk := list(islice(numbered, PER_TRANSACTION)):
        new, old, broken = _import_some(database, chunk, source)
        added += new
        known += old
        if broken is not None:
            raise broken
    read = added.total() + known.total()
    if header.lines is not None and read < header.lines:
        raise InputError(
            f"{source} was cut off: it has {read:,} of {header.lines:,} lines. These are imported. "
            "Copy or export it again and import the whole file: existing rows are skipped."
        )
    return Imported(dict(added), dict(known))


def _import_some(
    database: Database, chunk: list[tuple[int, str]], source: str
) -> tuple[Counter[str], Counter[str], InputError | None]:
    """Lines added and known by kind, and the error of the first invalid line; the lines before it
    are kept."""
    new: Counter[str] = Counter()
    old: Counter[str] = Counter()
    with database.write() as session:
        for number, text in chunk:
            if not text.strip():
                continue
            try:
                kind, line = line_from(text, number, source)
                with session.begin_nested():
                    is_new = repository.add(session, kind, line)
            except (IntegrityError, NoResultFound):
                reason = "it refers to a study, device or workload that no earlier line defines"
                return new, old, wrong_line(source, number, reason)
            except InputError as error:
                return new, old, error
            (new if is_new else old)[kind] += 1
    return new, old, None


@contextlib.contextmanager
def new_file(path: Path) -> Iterator[IO[str]]:
    """Write a file that appears only when it is complete. An existing file is replaced."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        part.unlink(missing_ok=True)
