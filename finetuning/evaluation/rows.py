"""One row per evaluated item: what every figure and every comparison is computed from.

Rows are kept as JSON lines beside the model. Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from probes.errors import InputError


@dataclass(frozen=True)
class EvaluationRow:
    """What one model did on one item.

    Two models are compared item by item, so ``task`` and ``item`` must be the same for both;
    ``group`` is what is resampled as a whole (all moves of one game).
    """

    task: str
    item: str
    group: str
    source: str
    """Which data source the item came from; for comparisons per source."""
    values: Mapping[str, float]
    """One number per column; see ``Metric`` for what is made of them."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """For a person: the prompt, the answer, the seed. Never compared."""


def write_rows(path: Path, rows: Iterable[EvaluationRow]) -> int:
    """Append rows as JSON lines, each flushed. Returns how many."""
    count = 0
    with path.open("a", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")
            file.flush()
            count += 1
    return count


def read_rows(path: Path) -> list[EvaluationRow]:
    """All rows of a file; a last line that was cut off by a kill is left out.

    Raises ``InputError`` where the file is missing or a line before the last one is broken.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror}. Evaluate the run first."
        ) from error
    return list(_parsed(path, [line for line in lines if line.strip()]))


def _parsed(path: Path, lines: list[str]) -> Iterator[EvaluationRow]:
    for number, line in enumerate(lines, 1):
        try:
            yield EvaluationRow(**json.loads(line))
        except (ValueError, TypeError) as error:
            if number == len(lines):
                return
            raise InputError(f"{path}, line {number}: not an evaluation row ({error}).") from error
