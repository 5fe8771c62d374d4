"""What the benchmark learns, one JSON line each, written at once: a killed run resumes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optimizer.ablation import Evidence


@dataclass(frozen=True)
class Record:
    """Evidence for a case in one of the rounds: 1, or 2 with ``--again``."""

    case: str
    round: int
    evidence: Evidence

    def to_dict(self) -> dict[str, Any]:
        return {"case": self.case, "round": self.round, "evidence": self.evidence.to_dict()}


class WorkFile:
    """Appends records, and knows those of earlier runs; the last one of a case counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: dict[tuple[str, int], Record] = {}
        if path.is_file():
            for line in path.read_text().splitlines():
                try:
                    plain = json.loads(line)
                    evidence = Evidence.from_dict(plain["evidence"])
                    self._keep(Record(plain["case"], int(plain["round"]), evidence))
                except (ValueError, KeyError, TypeError):
                    continue  # cut off by a kill

    def add(self, record: Record) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(record.to_dict()) + "\n")
        self._keep(record)

    def of(self, case: str, number: int) -> Evidence | None:
        record = self.records.get((case, number))
        return record.evidence if record is not None else None

    def _keep(self, record: Record) -> None:
        self.records[record.case, record.round] = record
