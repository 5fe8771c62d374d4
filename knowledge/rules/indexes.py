"""Index pages: complete, and true about what exists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from knowledge.indexes import (
    EXISTS,
    MISSING,
    Index,
    connections,
    folders_with_indexes,
    parse_index,
)
from knowledge.library import index_path
from knowledge.model import Page, PageType
from knowledge.rules.model import FileProblem, Rule, Severity, View

_WRITE = "Run tonnage knowledge index --write."


def _indexes(view: View) -> Iterator[tuple[Path, Index, dict[str, Page]]]:
    """Each index that is there, with the pages that it should list by name."""
    for folder, kind in folders_with_indexes(view.library):
        path = index_path(folder, kind)
        if path in view.library.indexes:
            yield path, parse_index(view.library.indexes[path]), _pages(view, folder, kind)


def _pages(view: View, folder: Path, kind: PageType) -> dict[str, Page]:
    return {p.name: p for p in view.library.in_folder(folder) if p.type is kind}


def _missing(view: View) -> Iterator[FileProblem]:
    for folder, kind in folders_with_indexes(view.library):
        path = index_path(folder, kind)
        if path not in view.library.indexes:
            count = len(_pages(view, folder, kind))
            pages = "page has" if count == 1 else "pages have"
            yield FileProblem(1, f"{count} {kind} {pages} no index.", _WRITE, path)


def _form(view: View) -> Iterator[FileProblem]:
    for path, index, _ in _indexes(view):
        if index.repository is None:
            title = f"# {path.stem.removeprefix('_').removesuffix('Index')} Index: …"
            yield FileProblem(1, "The index has no title.", f"Begin it with {title}", path)
        if not index.has_table:
            columns = "Page, File, Connections, Notes"
            yield FileProblem(1, "The index has no table.", f"Write one with {columns}.", path)


def _rows(view: View) -> Iterator[FileProblem]:
    for path, index, pages in _indexes(view):
        if not index.has_table:
            continue
        listed = {row.page for row in index.rows}
        for name in pages:
            if name not in listed:
                yield FileProblem(1, f"The index does not list {name}.", _WRITE, path)
        for row in index.rows:
            if row.page not in pages:
                message = f"The index lists {row.page}, which is not there."
                yield FileProblem(row.line, message, _WRITE, path)


def _marks(view: View) -> Iterator[FileProblem]:
    for path, index, _ in _indexes(view):
        for row in index.rows:
            for connection in row.connections:
                exists = connection.full_name in view.library.pages
                if exists != connection.exists:
                    mark, truth = (EXISTS, "does not exist") if not exists else (MISSING, "exists")
                    right = EXISTS if exists else MISSING
                    yield FileProblem(
                        row.line,
                        f"{mark}{connection.full_name} is not true: the page {truth}.",
                        f"Write {right}{connection.full_name}.",
                        path,
                    )


def _connections(view: View) -> Iterator[FileProblem]:
    for path, index, pages in _indexes(view):
        for row in index.rows:
            page = pages.get(row.page)
            if page is None:
                continue
            stated = {connection.full_name for connection in row.connections}
            actual = set(connections(page))
            for name in sorted(actual - stated):
                message = f"The row of {row.page} lacks the connection {name}."
                yield FileProblem(row.line, message, _WRITE, path)
            for name in sorted(stated - actual):
                message = f"The row of {row.page} names {name}, which the page does not link."
                yield FileProblem(row.line, message, _WRITE, path)


RULES = (
    Rule(
        "index-missing",
        Severity.NOTE,
        "The index shows at a glance which pages there are and which are missing.",
        on_library=_missing,
        fixable=True,
    ),
    Rule(
        "index-form",
        Severity.ERROR,
        "Programs read the index by its title and its columns.",
        on_library=_form,
        fixable=True,
    ),
    Rule(
        "index-rows",
        Severity.ERROR,
        "An index that lacks a page hides it; one that lists too many leads to a dead end.",
        on_library=_rows,
        fixable=True,
    ),
    Rule(
        "index-marks",
        Severity.ERROR,
        "A ✅ for a page that is missing hides work; a ⬜ for one that exists causes it twice.",
        on_library=_marks,
        fixable=True,
    ),
    Rule(
        "index-connections",
        Severity.ERROR,
        "The index has to say of each page what the page itself says.",
        on_library=_connections,
        fixable=True,
    ),
)
