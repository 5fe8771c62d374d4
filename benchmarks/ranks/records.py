"""What the benchmark learns, one JSON line each, written at once: a killed run resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

Record = dict[str, Any]


class WorkFile:
    """Records by part and identity; the last word on a thing counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records: dict[tuple[str, str], Record] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            try:
                data = json.loads(line)
            except json.JSONDecodeError:  # a kill cut it short
                continue
            self._records[data["part"], data["identity"]] = data["record"]

    def get(self, part: str, identity: str) -> Record | None:
        return self._records.get((part, identity))

    def add(self, part: str, identity: str, record: Record) -> Record:
        self._records[part, identity] = record
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            line = {"part": part, "identity": identity, "record": record}
            file.write(json.dumps(line, default=str) + "\n")
        return record

    def of(self, part: str) -> dict[str, Record]:
        """All records of a part, by identity, in the order in which they were first made."""
        return {name: record for (of, name), record in self._records.items() if of == part}
