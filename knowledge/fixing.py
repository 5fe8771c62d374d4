"""Mechanical fixes: dialect, section order, lists of steps, backlinks, indexes.

Nothing is written here but by :func:`apply`; no text of a person is lost or changed.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from knowledge.content import Content
from knowledge.indexes import expected, folders_with_indexes
from knowledge.library import BUILTIN_FOLDER, Library, index_path
from knowledge.model import Page, PageType, Section
from knowledge.parsing import header_of, parse
from knowledge.rules.edges import missing_backlinks
from knowledge.rules.model import View
from knowledge.rules.sections import match_slots
from knowledge.schema import EdgeRule


@dataclass(frozen=True)
class Change:
    """The new text of a file."""

    path: Path
    before: str | None
    """``None`` for a file that is not there yet."""
    after: str
    what: tuple[str, ...]
    """What was fixed, as sentences."""


def fix(library: Library, *, folders: Collection[Path] | None = None) -> list[Change]:
    """What can be fixed mechanically, as changes sorted by path.

    Args:
        library: the pages.
        folders: the folders whose files may change; by default all but the built-in one, and
            that too if it is the only one.
    """
    chosen = _folders(library, folders)
    notes: dict[Path, list[str]] = {}
    pages = dict(library.pages)
    for full_name, page in pages.items():
        if _may_change(page, chosen):
            pages[full_name] = _fixed_page(page, notes)
    current = replace(library, pages=pages)
    current = _with_backlinks(current, chosen, notes)
    changes = [
        Change(page.path, library.pages[name].text, page.text, tuple(notes.get(page.path, ())))
        for name, page in current.pages.items()
        if page.path is not None and page.text != library.pages[name].text
    ]
    changes.extend(_indexes(current, chosen))
    return sorted(changes, key=lambda change: change.path)


def apply(changes: Iterable[Change]) -> list[Path]:
    """Write the changes, each file at once; gives the files written."""
    written = []
    for change in changes:
        path = change.path.resolve()
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(change.after.encode("utf-8"))
            if path.exists():
                Path(temporary).chmod(path.stat().st_mode & 0o777)
            else:
                Path(temporary).chmod(0o644)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        written.append(change.path)
    return written


def _folders(library: Library, folders: Collection[Path] | None) -> list[Path]:
    if folders is not None:
        return [folder.absolute() for folder in folders]
    own = [folder for folder in library.folders if folder != BUILTIN_FOLDER]
    return own or list(library.folders)


def _may_change(page: Page, folders: list[Path]) -> bool:
    return page.path is not None and any(page.path.is_relative_to(folder) for folder in folders)


def _reread(page: Page, text: str) -> Page:
    return parse(text, type=page.type, name=page.name, path=page.path)


def _fixed_page(page: Page, notes: dict[Path, list[str]]) -> Page:
    for rewrite, note in (
        (_in_written_dialect, "The dialect is the one that is written here."),
        (_in_order, "The sections are in order."),
        (_with_listed_steps, "Related Pages lists the steps."),
    ):
        text = rewrite(page)
        if text != page.text and page.path is not None:
            page = _reread(page, text)
            notes.setdefault(page.path or Path(), []).append(note)
    return page


def _in_written_dialect(page: Page) -> str:
    content = Content(page)
    text = page.text
    for link in reversed(content.links):
        if link.kind == "used_by" and page.type is PageType.HEURISTIC:
            raw = link.raw.replace("used_by", "uses_heuristic", 1)
            text = text[: link.start] + raw + text[link.start + len(link.raw) :]
    header = header_of(text)
    matches = header is not None and f"_{page.name}".endswith(f"_{header[1]}")
    has_step_links = page.type is not PageType.WORKFLOW or any(s.principles for s in content.steps)
    if header is not None and matches and page.path is not None and has_step_links:
        return text[header[2] :].lstrip("\r\n")
    return text


def _in_order(page: Page) -> str:
    """The sections in the order of the schema; one that the schema lacks follows its neighbour."""
    filled = match_slots(page)
    if [s.start for _, s in sorted(filled.items())] == sorted(s.start for s in filled.values()):
        return page.text
    position = {section.start: slot for slot, section in filled.items()}
    groups = _groups([s for s in page.sections if s.level == 2], position)
    before = page.sections[0].start
    first_sub = [s for s in page.sections if s.level == 3 and s.start < _first(groups, page)]
    preamble = page.text[:before] + "".join(page.text[s.start : s.end] for s in first_sub)
    pieces = []
    for group in groups:
        for section in group:
            pieces.append(_with_ordered_subsections(page, section, position))
    ending = page.text[len(page.text.rstrip("\r\n")) :] or _newline(page.text)
    return preamble + _joined(pieces, page.text).rstrip("\r\n") + ending


def _first(groups: list[list[Section]], page: Page) -> int:
    return min((s.start for s in page.sections if s.level == 2), default=len(page.text))


def _groups(sections: list[Section], position: dict[int, int]) -> list[list[Section]]:
    """Sections in the order of their slots; those without one stay behind the one before them."""
    groups: list[tuple[int, list[Section]]] = []
    for section in sections:
        if section.start in position:
            groups.append((position[section.start], [section]))
        elif groups:
            groups[-1][1].append(section)
        else:
            groups.append((-1, [section]))
    return [group for _, group in sorted(groups, key=lambda item: item[0])]


def _with_ordered_subsections(page: Page, section: Section, position: dict[int, int]) -> str:
    below = Content(page).below(section)
    head = page.text[section.start : section.end]
    pieces = [page.text[sub.start : sub.end] for group in _groups(below, position) for sub in group]
    return head + _joined(pieces, page.text) if pieces else head


def _joined(pieces: list[str], text: str) -> str:
    """Pieces one after the other, with an empty line behind the one that ended the text."""
    newline = _newline(text)
    spaced = [
        piece.rstrip("\r\n") + newline * 2 if _ended(text, piece) else piece
        for piece in pieces[:-1]
    ]
    return "".join([*spaced, pieces[-1]])


def _ended(text: str, piece: str) -> bool:
    return text.rstrip().endswith(piece.rstrip())


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _with_listed_steps(page: Page) -> str:
    content = Content(page)
    section = content.section("Execution Steps", 3)
    steps = content.steps
    if page.type is not PageType.WORKFLOW or section is None or not steps:
        return page.text
    if any(len(step.principles) != 1 for step in steps):
        return page.text
    start = section.end - len(section.text)
    links = [k for k in content.links if k.kind == "step" and start <= k.start < section.end]
    newline = _newline(page.text)
    wanted = [
        f"* [[step::Principle:{step.principles[0]}]] - Step {number}"
        for number, step in enumerate(steps, 1)
    ]
    lines = page.text[start : section.end].split("\n")
    first_line = content.lines.at(start)
    numbers = {content.lines.at(link.start) - first_line for link in links}
    pattern = r"[*#]?\s*\[\[[^\[\]]*\]\]\s*(?:[-–—]\s*Step\s*\d+)?\s*"
    if any(not re.fullmatch(pattern, lines[number]) for number in numbers):
        return page.text  # a line with words of a person
    if [lines[number].strip() for number in sorted(numbers)] == wanted:
        return page.text
    at = min(numbers) if numbers else 1
    kept = [line for number, line in enumerate(lines) if number not in numbers]
    carriage = "\r" if newline == "\r\n" else ""
    kept[at:at] = [line + carriage for line in wanted]
    text = page.text[:start] + "\n".join(kept) + page.text[section.end :]
    return text if len(kept) > at + len(wanted) else text + newline


def _with_backlinks(library: Library, folders: list[Path], notes: dict[Path, list[str]]) -> Library:
    view = View(library, datetime.now(timezone.utc))
    pages = dict(library.pages)
    for page in library.pages.values():
        for _, target, rule in missing_backlinks(page, view):
            current = pages[target.full_name]
            line = f"[[{rule.kind}::{page.full_name}]]"
            if not _may_change(current, folders) or line in current.text:
                continue
            pages[target.full_name] = _reread(current, _with_backlink(current, line, rule))
            if current.path is not None:
                notes.setdefault(current.path, []).append(f"It links back to {page.full_name}.")
    return replace(library, pages=pages)


def _with_backlink(page: Page, link: str, rule: EdgeRule) -> str:
    content = Content(page)
    newline = _newline(page.text)
    related = content.section("Related Pages", 2)
    below = content.below(related) if related else []
    place = next((s for s in below if s.title.lower() == rule.section.lower()), None)
    if place is not None:
        return _inserted(page.text, place.end, f"* {link}", newline)
    heading = f"=== {rule.section} ==={newline}* {link}"
    if related is not None:
        return _inserted(page.text, content.end_of(related), heading, newline, gap=bool(below))
    return _inserted(
        page.text, len(page.text), f"== Related Pages =={newline}{heading}", newline, gap=True
    )


def _inserted(text: str, end: int, line: str, newline: str, *, gap: bool = False) -> str:
    """``text`` with a line behind the last line with content before ``end``."""
    head = text[:end].rstrip()
    tail = text[len(head) :]
    tail = tail if tail.startswith(("\n", "\r\n")) else newline + tail
    return head + newline * (2 if gap else 1) + line + tail


def _indexes(library: Library, folders: list[Path]) -> Iterable[Change]:
    for folder, kind in folders_with_indexes(library):
        if folder not in folders:
            continue
        path = index_path(folder, kind)
        before, after = library.indexes.get(path), expected(library, kind, folder)
        if before != after:
            what = "The index is new." if before is None else "The index is up to date."
            yield Change(path, before, after, (what,))
