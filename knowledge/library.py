"""All the pages that can be read, found and searched: the user's beside those that come with it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from knowledge.claims import Claim
from knowledge.errors import PageError, UnknownPageError
from knowledge.links import canonical_name
from knowledge.model import Page, PageType
from knowledge.parsing import MAX_PAGE_BYTES, parse
from knowledge.searching import Match, search

BUILTIN_FOLDER = Path(__file__).parent / "pages"
PAGE_SUFFIXES = (".md", ".mediawiki", ".wiki")
MAX_PAGES = 10_000
MAX_FOLDER_DEPTH = 8


@dataclass(frozen=True)
class Unreadable:
    """A file that is not read as a page, and why."""

    path: Path
    reason: str
    line: int = 1


@dataclass(frozen=True)
class Library:
    """Pages of one or more folders."""

    pages: Mapping[str, Page]
    """By full name, sorted."""
    shadowed: tuple[Page, ...] = ()
    """Pages that another one of the same name replaced: built-in ones that a user's page replaced,
    and those of a folder that was named later."""
    unreadable: tuple[Unreadable, ...] = ()
    folders: tuple[Path, ...] = ()
    """The folders that were read, those of the user first."""
    indexes: Mapping[Path, str] = field(default_factory=dict)
    """The texts of the index pages in them."""

    def find(self, name: str) -> Page:
        """The page with this full name, or the only one with this name; case does not matter.

        The prefix of a name may be left out where only one page is called so:
        ``Gradient_Checkpointing`` finds ``Huggingface_peft_Gradient_Checkpointing``.

        Raises:
            UnknownPageError: there is none, or there are several; the message names the nearest.
        """
        wanted = _normalised(name)
        if wanted in self.pages:
            return self.pages[wanted]
        same = [
            full
            for full, page in self.pages.items()
            if wanted.lower() in (full.lower(), page.name.lower())
        ] or self._ending_with(wanted)
        if len(same) == 1:
            return self.pages[same[0]]
        if same:
            raise UnknownPageError(name, tuple(same[:5]), is_ambiguous=True)
        raise UnknownPageError(name, self._nearest(wanted))

    def search(self, words: str, limit: int = 20) -> list[Match]:
        """The pages in which every one of the words occurs, the best first."""
        return search(self.pages.values(), words, limit)

    def claims(self) -> dict[str, Claim]:
        """All claims by their full id."""
        return {claim.full_id: claim for page in self.pages.values() for claim in page.claims}

    def of_type(self, kind: PageType) -> list[Page]:
        """The pages of a type, sorted by name."""
        return [page for page in self.pages.values() if page.type is kind]

    def in_folder(self, folder: Path) -> list[Page]:
        """The pages whose files are below ``folder``."""
        return [p for p in self.pages.values() if p.path and p.path.is_relative_to(folder)]

    def is_builtin(self, page: Page) -> bool:
        """Whether the page came with the product."""
        return page.path is not None and page.path.is_relative_to(BUILTIN_FOLDER)

    def _ending_with(self, wanted: str) -> list[str]:
        namespace, _, name = wanted.lower().rpartition(":")
        return [
            full
            for full, page in self.pages.items()
            if page.name.lower().endswith(f"_{name}")
            and namespace in ("", page.type.namespace.lower())
        ]

    def _nearest(self, wanted: str) -> tuple[str, ...]:
        bare = wanted.partition(":")[2] or wanted
        by_name: dict[str, list[str]] = {}
        for full, page in self.pages.items():
            by_name.setdefault(page.name.lower(), []).append(full)
        close = get_close_matches(bare.lower(), by_name, n=3, cutoff=0.6)
        return tuple(full for name in close for full in by_name[name])


def load(*folders: Path, builtin: bool = True) -> Library:
    """The pages in ``folders``, beside those that come with the product.

    A folder named earlier wins over a later one where both have a page of the same name, and all
    of them win over the built-in pages. A file may be given in place of a folder. What cannot be
    read is in :attr:`Library.unreadable`; nothing is raised for it.
    """
    pages: dict[str, Page] = {}
    shadowed: list[Page] = []
    unreadable: list[Unreadable] = []
    roots = [*folders, *([BUILTIN_FOLDER] if builtin and BUILTIN_FOLDER.is_dir() else [])]
    indexes: dict[Path, str] = {}
    for root in dict.fromkeys(path.absolute() for path in roots):
        for path in _index_paths(root):
            try:
                indexes[path] = read_text(path, root=root)
            except PageError as error:
                unreadable.append(Unreadable(path, str(error), error.line))
        for item in _read(root):
            if isinstance(item, Unreadable):
                unreadable.append(item)
            elif item.full_name in pages:
                shadowed.append(item)
            else:
                pages[item.full_name] = item
    return Library(
        pages=dict(sorted(pages.items())),
        shadowed=tuple(shadowed),
        unreadable=tuple(unreadable),
        folders=tuple(dict.fromkeys(path.absolute() for path in roots)),
        indexes=indexes,
    )


def index_path(folder: Path, kind: PageType) -> Path:
    """Where the index of the pages of a type is kept, like ``_HeuristicIndex.md``."""
    return folder / f"_{kind.namespace}Index.md"


def read_page(path: Path, *, root: Path | None = None) -> Page:
    """The page in a file.

    With ``root``, a symbolic link that leads out of that folder is refused.

    Raises:
        PageError: the file is missing, too large, not UTF-8, not a regular file, or not a page.
    """
    return parse(read_text(path, root=root), path=path)


def read_text(path: Path, *, root: Path | None = None) -> str:
    """The text of a file, with its line breaks as they are; never more than ``MAX_PAGE_BYTES``.

    Raises:
        PageError: see :func:`read_page`.
    """
    try:
        if root is not None and not path.resolve().is_relative_to(root.resolve()):
            raise PageError(
                f"It is a symbolic link to {path.resolve()}, which is outside {root}. "
                "Copy the file into the folder."
            )
        if not path.is_file():
            raise PageError(
                "It is not a regular file." if path.exists() else "There is no such file."
            )
        with path.open("rb") as file:
            data = file.read(MAX_PAGE_BYTES + 1)
            size = os.fstat(file.fileno()).st_size
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise PageError(f"It cannot be read: {reason}.") from error
    if len(data) > MAX_PAGE_BYTES:
        raise PageError(
            f"It has {max(size, len(data)) / 2**20:.1f} MiB; {MAX_PAGE_BYTES // 2**20} MiB is the "
            "most that is read. Split it into several pages."
        )
    return _decoded(data)


def to_bytes(page: Page) -> bytes:
    """The content of the page's file; of a page that was only read, byte for byte what it was."""
    return page.text.encode("utf-8")


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise PageError("It is UTF-16. Save it as UTF-8.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PageError(
            f"It is not UTF-8: line {line} holds the byte 0x{data[error.start]:02x}. "
            "Save it as UTF-8.",
            line=line,
        ) from error


def _read(root: Path) -> Iterator[Page | Unreadable]:
    if root.is_file():
        yield _page_or_reason(root, root.parent)
        return
    if not root.is_dir():
        yield Unreadable(root, "There is no such folder.")
        return
    count = 0
    for path in _files(root):
        if isinstance(path, Unreadable):
            yield path
            continue
        count += 1
        if count > MAX_PAGES:
            yield Unreadable(root, f"It holds more than {MAX_PAGES} pages; the rest is not read.")
            return
        yield _page_or_reason(path, root)


def _index_paths(root: Path) -> list[Path]:
    paths = [index_path(root, kind) for kind in PageType]
    return [path for path in paths if path.is_symlink() or path.exists()]


def _page_or_reason(path: Path, root: Path) -> Page | Unreadable:
    try:
        return read_page(path, root=root)
    except PageError as error:
        return Unreadable(path, str(error), error.line)


def _files(folder: Path, depth: int = 0) -> Iterator[Path | Unreadable]:
    """The files that are meant as pages; indexes, hidden files and what is no page are left out."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Unreadable(folder, f"It cannot be read: {error.strerror}.")
        return
    for entry in entries:
        path = Path(entry.path)
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth < MAX_FOLDER_DEPTH:
                yield from _files(path, depth + 1)
            else:
                yield Unreadable(path, f"Folders are nested more than {MAX_FOLDER_DEPTH} deep.")
        elif entry.is_symlink() and path.is_dir():
            yield Unreadable(path, "It is a symbolic link to a folder. Name that folder instead.")
        elif path.suffix.lower() in PAGE_SUFFIXES and entry.name.lower() != "readme.md":
            yield path


def _normalised(name: str) -> str:
    namespace, colon, rest = name.strip().partition(":")
    if colon and rest:
        return f"{namespace.strip().capitalize()}:{canonical_name(rest)}"
    return canonical_name(name)
