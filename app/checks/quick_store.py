"""The local SQLite store without SQLAlchemy, which takes longer to import than a check may take.

Only what a check does: read what it is compared with, keep the answer. Everything else, and every
database but a current SQLite file, goes through ``app.database``.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from app.database.floats import encoded
from app.ids import new_id
from migrations import HEAD

PATIENCE_S = 2.0
"""How long to wait for another process that writes."""
PLAIN_FILE = re.compile(r"sqlite(?:\+pysqlite)?:///(?!file:|:memory:)([^?]+)")
COLUMNS = "id, verdict, workload, device, fingerprint, recommendation_id, document, created_at"


class QuickStore:
    """An SQLite file at this version of the schema; ``open`` gives ``None`` for anything else."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @classmethod
    def open(cls, url: str) -> QuickStore | None:
        match = PLAIN_FILE.fullmatch(url)
        file = Path(match[1]).expanduser() if match else None
        if file is None or not file.is_file():
            return None
        connection = sqlite3.connect(file, timeout=PATIENCE_S, isolation_level=None)
        try:
            connection.execute("PRAGMA foreign_keys=ON")
            found = connection.execute("SELECT version_num FROM tonnage_alembic_version").fetchone()
            if found is not None and found[0] == HEAD:
                return cls(connection)
        except sqlite3.Error:
            pass  # SQLAlchemy's path says what is wrong with it
        connection.close()
        return None

    def rows(self, sql: str, **parameters: Any) -> Sequence[tuple[Any, ...]]:
        return self._connection.execute(sql, parameters).fetchall()

    def add_check(self, check: Mapping[str, Any]) -> str:
        """Keep an answer; its id. Raises ``sqlite3.Error``."""
        from datetime import datetime, timezone

        moment = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
        values = {
            **check,
            "id": new_id("chk"),
            "document": json.dumps(encoded(check["document"])),
            "created_at": moment,
        }
        names = COLUMNS.split(", ")
        marks = ", ".join(f":{name}" for name in names)
        self._connection.execute(f"INSERT INTO tonnage_checks ({COLUMNS}) VALUES ({marks})", values)
        return str(values["id"])

    def close(self) -> None:
        self._connection.close()
