"""What the benchmark learns, one JSON line each, written at once: a killed run resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol


class Identified(Protocol):
    """A case, as far as records of it are told apart."""

    @property
    def identity(self) -> str: ...


@dataclass(frozen=True)
class Truth:
    """The scan of a case in fresh processes: the largest batch that lasts ``STEPS`` steps."""

    case: str
    """``Case.identity``; so are those below."""
    largest: int
    scanned: dict[str, str]
    """Batch size to verdict, of every batch tried."""
    wall_s: float


@dataclass(frozen=True)
class Search:
    """One search by one method."""

    case: str
    method: str
    setting: str
    found: int | None
    steps: int
    """Training steps begun, as the workload itself counted them; so are the samples."""
    samples: int
    wall_s: float
    crash: str = ""
    """Why there is no answer; empty when there is one."""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Survival:
    """A batch trained for ``STEPS`` steps in a fresh process under the same limit."""

    case: str
    batch_size: int
    survived: bool
    reason: str


Record = Truth | Search | Survival
_KINDS = {"truth": Truth, "search": Search, "survival": Survival}


class WorkFile:
    """Records by what they are about; the last word on a thing counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.truths: dict[str, Truth] = {}
        self.searches: dict[tuple[str, str, str], Search] = {}
        self.survivals: dict[tuple[str, int], Survival] = {}
        for record in _read(path):
            self._keep(record)

    def add(self, record: Record) -> None:
        self._keep(record)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        kind = next(name for name, cls in _KINDS.items() if isinstance(record, cls))
        at = datetime.now(UTC).isoformat(timespec="seconds")
        with self.path.open("a") as file:
            file.write(json.dumps({"kind": kind, "at": at, **asdict(record)}) + "\n")

    def largest_stable(self, case: Identified) -> int | None:
        """The truth: the scan's, or a larger batch that a method found and that lasted."""
        scan = self.truths.get(case.identity)
        if scan is None:
            return None
        lasted = [
            s.batch_size for s in self.survivals.values() if s.case == case.identity and s.survived
        ]
        return max([scan.largest, *lasted])

    def of_case(self, case: Identified) -> list[Search]:
        return [s for s in self.searches.values() if s.case == case.identity]

    def _keep(self, record: Record) -> None:
        if isinstance(record, Truth):
            self.truths[record.case] = record
        elif isinstance(record, Search):
            self.searches[record.case, record.method, record.setting] = record
        else:
            self.survivals[record.case, record.batch_size] = record


def _read(path: Path) -> Iterator[Record]:
    """Every whole line; a line that a kill cut short is dropped."""
    if not path.exists():
        return
    for line in path.read_text().splitlines():
        try:
            data = json.loads(line)
        except json.JSONDecodeError:
            continue
        del data["at"]
        yield _KINDS[data.pop("kind")](**data)
