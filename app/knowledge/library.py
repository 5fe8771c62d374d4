"""The library of this installation: the built-in pages, and the folders of ``knowledge.paths``."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.errors import NotFound
from app.settings import Settings
from knowledge.errors import KnowledgeError, UnknownPageError
from knowledge.library import Library, load
from knowledge.model import Page
from probes.errors import InputError

State = tuple[tuple[str, int, int], ...]
"""Path, time and size of every file: what is read again when it differs."""


class Libraries:
    """Remembers the library until a file of it changes: reading it takes a good part of a second.
    Built-in pages are taken not to change while the process runs."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: tuple[tuple[Path, ...], State, Library] | None = None

    def of(self, settings: Settings) -> Library:
        """The library of these settings."""
        paths = tuple(settings.knowledge.paths)
        state = _state(paths)
        with self._lock:
            if self._kept is None or self._kept[:2] != (paths, state):
                self._kept = (paths, state, load(*paths))
            return self._kept[2]


_READ = Libraries()


def library_of(settings: Settings) -> Library:
    """The library of these settings, as it is now."""
    return _READ.of(settings)


def find_page(library: Library, name: str) -> Page:
    """A page by its name, with or without its type. Raises ``NotFound`` that names the nearest."""
    try:
        return library.find(name)
    except UnknownPageError as error:
        raise NotFound(str(error)) from None


@contextmanager
def explained() -> Iterator[None]:
    """Errors of ``knowledge`` as wrong input."""
    try:
        yield
    except UnknownPageError as error:
        raise NotFound(str(error)) from None
    except KnowledgeError as error:
        raise InputError(str(error)) from None


def _state(paths: tuple[Path, ...]) -> State:
    found = []
    for root in paths:
        for folder, _, files in os.walk(root):
            for name in files:
                file = os.path.join(folder, name)  # noqa: PTH118  (many files, at each request)
                try:
                    stat = os.stat(file)  # noqa: PTH116
                except OSError:
                    continue
                found.append((file, stat.st_mtime_ns, stat.st_size))
    return tuple(sorted(found))
