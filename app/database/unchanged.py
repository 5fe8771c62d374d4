"""Caches reads until any process writes to the database.

SQLite reports in microseconds whether any connection has committed since the last call. PostgreSQL
has nothing that cheap, so nothing is cached there.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

Value = TypeVar("Value")

MOST_ENTRIES = 512


class Unchanged:
    """Results of reads, each good until the next commit."""

    def __init__(self, file: Path | None) -> None:
        """``file`` is the SQLite database; ``None``: nothing is remembered."""
        self._file = file
        self._connection: sqlite3.Connection | None = None
        self._lock = threading.Lock()
        self._entries: OrderedDict[Hashable, tuple[int, Any]] = OrderedDict()

    def get(self, key: Hashable, load: Callable[[], Value]) -> Value:
        """What ``load`` gives, or gave if nothing has been committed since. What it raises is not
        remembered."""
        if self._file is None:
            return load()
        with self._lock:
            try:
                version = self._version()
            except sqlite3.Error:
                return load()  # it raises an error that explains the problem
            known = self._entries.get(key)
            if known is not None and known[0] == version:
                value: Value = known[1]
                return value
        value = load()  # after the version: a commit in between makes it stale, never wrong
        with self._lock:
            self._entries[key] = (version, value)
            self._entries.move_to_end(key)
            if len(self._entries) > MOST_ENTRIES:
                self._entries.popitem(last=False)
        return value

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _version(self) -> int:
        if self._connection is None:
            # A connection of its own, because it reports what *other* connections have changed.
            self._connection = sqlite3.connect(str(self._file), check_same_thread=False)
        version: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return version
