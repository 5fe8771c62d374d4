"""Databases of the last release: made from their dump, and moved to this machine.

Keys are computed here as the last release computed them, and not by the code under test: a change
of that code must not go unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DUMP = HERE / "released-0.1.sql"
FOLDER = "/home/user/project"
"""Where the workload was, ``train.py`` beside this file."""
FINGERPRINT = "ad39f7ee145097a8"
"""Key of the device that everything was measured on."""
TOKEN = "tng_" + "pipeline-" * 4 + "example"
"""What the stored API key answers to."""


def restore(file: Path) -> None:
    """Write the database as the last release left it."""
    with sqlite3.connect(file) as connection:
        connection.executescript(DUMP.read_text())
    connection.close()


def replace_everywhere(file: Path, replacements: dict[str, str]) -> None:
    """Replace texts in all of a database, and the keys that depend on them."""
    with sqlite3.connect(file) as connection:
        before = _keys(connection)
        _replace(connection, replacements)
        after = _keys(connection, recomputed=True)
        _replace(connection, {old: new for old, new in zip(before, after) if old != new})
    connection.close()


def short_hash(data: Any) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _keys(connection: sqlite3.Connection, recomputed: bool = False) -> list[str]:
    """Of every study and its scope, as stored or as its specification asks for."""
    found = []
    rows = connection.execute("SELECT key, scope_key, spec FROM tonnage_studies ORDER BY id")
    for key, scope_key, spec in rows:
        document = json.loads(spec)
        found += (
            [short_hash(document), short_hash(document["scope"])]
            if recomputed
            else [key, scope_key]
        )
    return found


def _replace(connection: sqlite3.Connection, replacements: dict[str, str]) -> None:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (table,) in tables:
        columns = connection.execute(f"PRAGMA table_info({table})").fetchall()
        for _, column, *_ in columns:
            for old, new in replacements.items():
                connection.execute(
                    f"UPDATE {table} SET {column} = replace({column}, ?, ?) "
                    f"WHERE typeof({column}) = 'text' AND instr({column}, ?)",
                    (old, new, old),
                )
