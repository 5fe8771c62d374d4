"""Writing pages: check and fix them, begin new ones, list them, report on them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from app.cli.output import write_file
from app.knowledge.library import explained
from probes.errors import InputError

if TYPE_CHECKING:
    from app.settings import Settings
    from knowledge.formats import Format
    from knowledge.library import Library
    from knowledge.model import PageType


@dataclass(frozen=True)
class Checked:
    """What the rules found."""

    text: str
    has_errors: bool


def library_here(settings: Settings) -> Library:
    """The pages of the configured folders and the built-in ones, with a note on stderr for each
    folder that is not there."""
    from app.knowledge.library import library_of

    _note_missing(settings)
    return library_of(settings)


def _note_missing(settings: Settings) -> None:
    for path in settings.knowledge.paths:
        if not path.is_dir():
            typer.echo(f"Note: knowledge.paths names {path}, which is not a folder.", err=True)


def library_with(settings: Settings, paths: Sequence[Path]) -> Library:
    """The pages in ``paths``, before those of the configured folders and the built-in ones. Raises
    ``InputError`` for a path that does not exist."""
    from knowledge.library import load

    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: there is no such file or folder.")
    return load(*paths, *settings.knowledge.paths)


def check(settings: Settings, paths: Sequence[Path], form: Format) -> Checked:
    """Apply every rule to the pages in ``paths``, or to all pages without any."""
    from knowledge import formats
    from knowledge.rules import Severity
    from knowledge.rules import check as findings_of

    library = library_with(settings, paths)
    findings = findings_of(library, only=list(paths) or None)
    count = sum(len(library.in_folder(path.absolute())) for path in paths)
    text = formats.write(
        findings,
        form,
        base=Path.cwd(),
        version=version("tonnage"),
        pages=count if paths else len(library.pages),
    )
    return Checked(text, any(finding.severity is Severity.ERROR for finding in findings))


def fix_pages(settings: Settings, paths: Sequence[Path]) -> list[str]:
    """Fix what can be fixed mechanically in ``paths``, or in the configured folders. Returns lines
    that say what was done. Raises ``InputError`` where a file cannot be written."""
    from knowledge.fixing import apply, fix

    library = library_with(settings, paths)
    changes = fix(library, folders=list(paths) or None)
    try:
        apply(changes)
    except OSError as error:
        raise InputError(f"{error.filename} cannot be written: {error.strerror}.") from None
    return [f"{_shown(change.path)}: {' '.join(change.what)}" for change in changes]


def begin(settings: Settings, kind: PageType, name: str, folder: Path | None) -> Path:
    """Write a new page with every section, and return its file. Raises ``InputError`` for a name
    that no page may have, and where the file exists."""
    from knowledge.templates import new_page, page_name

    with explained():
        text = new_page(kind, name)
        file = f"{page_name(name)}.md"
    own = settings.knowledge.paths
    place = (folder or (own[0] if own else Path.cwd())) / kind.folder / file
    if place.exists():
        raise InputError(f"{place} exists. Choose another name, or edit that page.")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{place.parent} cannot be made: {error.strerror}.") from None
    write_file(place, text)
    return place


def indexes(settings: Settings, folder: Path | None) -> list[tuple[Path, str, bool]]:
    """The index pages of a folder, or of the configured folders: file, text, and whether the file
    says that already."""
    from knowledge.indexes import expected, folders_with_indexes
    from knowledge.library import index_path

    library = library_with(settings, [folder] if folder else [])
    wanted = _own_folders(settings, library, folder)
    found = []
    for root, kind in folders_with_indexes(library):
        if root in wanted:
            path, text = index_path(root, kind), expected(library, kind, root)
            found.append((path, text, library.indexes.get(path) == text))
    return found


def report(settings: Settings, folder: Path | None, title: str | None) -> str:
    """The enrichment report of the pages in a folder, or in the configured folders, or of the
    built-in pages where there are none."""
    from knowledge.library import load
    from knowledge.reports import enrichment

    _note_missing(settings)
    library = library_with(settings, [folder] if folder else [])
    has_own = folder is not None or bool(settings.knowledge.paths)
    return enrichment(library, before=load() if has_own else None, title=title)


def _own_folders(settings: Settings, library: Library, folder: Path | None) -> list[Path]:
    own = [folder] if folder else settings.knowledge.paths
    return [path.absolute() for path in own] or list(library.folders)


def _shown(path: Path) -> str:
    here = Path.cwd()
    return os.fspath(path.relative_to(here) if path.is_relative_to(here) else path)
