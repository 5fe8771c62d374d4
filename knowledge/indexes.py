"""Index pages: a table of the pages of one type, with the pages that each is connected with.

``✅Type:Name`` is a page that exists, ``⬜Type:Name`` one that is linked to and missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from knowledge.library import Library, index_path
from knowledge.model import Page, PageType
from knowledge.tables import find_tables

EXISTS, MISSING = "✅", "⬜"
COLUMNS = ("Page", "File", "Connections", "Notes")
_TITLE = re.compile(r"\A\ufeff?#[ \t]+(?P<type>\w+)[ \t]+Index[ \t]*:[ \t]*(?P<repository>[^\n]*)")
_CONNECTION = re.compile(r"(?P<mark>✅|⬜)\ufe0f?\s*(?P<name>[^\s,✅⬜]+)")


@dataclass(frozen=True)
class Connection:
    """A page in the column Connections."""

    full_name: str
    exists: bool
    """As the index states it."""


@dataclass(frozen=True)
class IndexRow:
    """A row of an index."""

    page: str
    file: str
    connections: tuple[Connection, ...]
    notes: str
    line: int


@dataclass(frozen=True)
class Index:
    """An index page as it is written."""

    repository: str | None
    """What the title names; ``None`` without a title of the right form."""
    rows: tuple[IndexRow, ...]
    has_table: bool


def parse_index(text: str) -> Index:
    """What an index page states; rows of another form are left out."""
    title = _TITLE.match(text)
    repository = title["repository"].strip() if title else None
    for table in find_tables(text):
        if tuple(cell.lower() for cell in table.header[:3]) == ("page", "file", "connections"):
            rows = [
                IndexRow(
                    page=_link_text(row.cells[0]),
                    file=_link_target(row.cells[1]),
                    connections=tuple(_connections(row.cells[2])),
                    notes=row.cells[3] if len(row.cells) > 3 else "",
                    line=row.line,
                )
                for row in table.body
                if len(row.cells) >= 3
            ]
            return Index(repository, tuple(rows), True)
    return Index(repository, (), False)


def expected(library: Library, kind: PageType, folder: Path | None = None) -> str:
    """The index of the pages of a type as it should be.

    It is about the pages in ``folder``, by default the first folder of the library. The name
    behind its title and the notes of an index that is there are kept; a new row takes the page's
    overview as its note.
    """
    root = folder or (library.folders[0] if library.folders else None)
    existing = parse_index(library.indexes.get(index_path(root, kind), "") if root else "")
    notes = {row.page: row.notes for row in existing.rows}
    repository = existing.repository or (root.name if root else "pages")
    lines = [
        f"# {kind.namespace} Index: {repository}",
        "",
        "## Pages",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'|'.join('---' for _ in COLUMNS)}|",
    ]
    pages = library.pages.values() if root is None else library.in_folder(root)
    for page in pages:
        if page.type is kind:
            note = _cell(notes.get(page.name) or page.overview)
            file = _file(page, root)
            connected = ", ".join(
                f"{EXISTS if name in library.pages else MISSING}{name}"
                for name in connections(page)
            )
            cells = (page.name, f"[{file}](./{file})" if file else "", connected, note)
            lines.append(f"| {' | '.join(cells)} |".replace("  ", " "))
    return "\n".join(lines) + "\n"


def connections(page: Page) -> list[str]:
    """The full names of the pages that a page is connected with, in its own order."""
    names = [f"{edge.target_type}:{edge.target}" for edge in page.edges if edge.target_type]
    return list(dict.fromkeys(names))


def folders_with_indexes(library: Library) -> Iterator[tuple[Path, PageType]]:
    """The folders and types that an index belongs to: those that have pages, or an index."""
    for folder in library.folders:
        if not folder.is_dir():
            continue
        kinds = {page.type for page in library.in_folder(folder)}
        for kind in PageType:
            if kind in kinds or index_path(folder, kind) in library.indexes:
                yield folder, kind


def write(library: Library, folder: Path | None = None) -> list[Path]:
    """Write the indexes of a folder, or of all folders; gives the files that changed."""
    changed = []
    for root, kind in folders_with_indexes(library):
        if folder is not None and root != folder.absolute():
            continue
        path = index_path(root, kind)
        text = expected(library, kind, root)
        if library.indexes.get(path) != text:
            path.write_bytes(text.encode("utf-8"))
            changed.append(path)
    return changed


def _connections(cell: str) -> Iterator[Connection]:
    for match in _CONNECTION.finditer(cell):
        yield Connection(match["name"], match["mark"] == EXISTS)


def _file(page: Page, root: Path | None) -> str:
    if page.path is None:
        return ""
    inside = root is not None and page.path.is_relative_to(root)
    return page.path.relative_to(root).as_posix() if inside and root else page.path.name


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _link_text(cell: str) -> str:
    match = re.fullmatch(r"\[([^\]]{0,300})\]\([^)]{0,500}\)", cell)
    return (match[1] if match else cell).strip("`* ").strip()


def _link_target(cell: str) -> str:
    match = re.fullmatch(r"\[[^\]]{0,300}\]\(([^)]{0,500})\)", cell)
    return (match[1] if match else cell).strip("` ").removeprefix("./")
