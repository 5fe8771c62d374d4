"""Kept rows in a file; in memory, hashes and a place of each: enough to divide and shuffle them.

That is some 300 bytes per row, however long its texts are. When the splits are written, the rows
are read again, one by one.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import dataclass, field
from io import BufferedRandom
from pathlib import Path
from types import TracebackType
from typing import Any

from finetuning.data.rows import SourceRow, digest, prompt_digest


@dataclass
class SourceIndex:
    """The rows of one source, by position: where they stand, their group, and their hashes."""

    name: str
    groups: list[str] = field(default_factory=list)
    """Names of groups. A row without one belongs to the group of its prompt."""
    offsets: array[int] = field(default_factory=lambda: array("Q"))
    group_of: array[int] = field(default_factory=lambda: array("L"))
    prompts: array[int] = field(default_factory=lambda: array("Q"))
    """See ``prompt_digest``."""
    pairs: array[int] = field(default_factory=lambda: array("Q"))
    ungrouped: int = 0
    unseamed: int = 0
    """Rows with no white space between prompt and completion."""

    def __len__(self) -> int:
        return len(self.offsets)

    def members(self) -> list[list[int]]:
        """The positions of each group's rows."""
        members: list[list[int]] = [[] for _ in self.groups]
        for position, group in enumerate(self.group_of):
            members[group].append(position)
        return members


class RowStore:
    """Appends rows to a file; gives each back by its offset."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: BufferedRandom = path.open("w+b")
        self._end = 0

    def __enter__(self) -> RowStore:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def writer(self, index: SourceIndex) -> SourceWriter:
        """Appends rows of one source, and enters them into its index."""
        return SourceWriter(self, index)

    def append(self, row: dict[str, Any]) -> int:
        """Write one row; returns its offset in bytes."""
        data = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        offset = self._end
        self._file.write(data)
        self._end += len(data)
        return offset

    def line(self, offset: int) -> bytes:
        """The row at an offset, as the line that was written."""
        self._file.seek(offset)
        return self._file.readline()


class SourceWriter:
    """Enters the rows of one source, in their order."""

    def __init__(self, store: RowStore, index: SourceIndex) -> None:
        self._store, self._index = store, index
        self._known: dict[str | int, int] = {}

    def add(self, row: SourceRow) -> None:
        """Store a row under the id ``SOURCE-NUMBER``, counted from 1."""
        index = self._index
        prompt = prompt_digest(row.prompt)
        number = len(index) + 1
        key: str | int = prompt if row.group is None else row.group
        group = self._known.setdefault(key, len(self._known))
        if group == len(index.groups):
            name = f"row-{number}" if row.group is None else row.group
            index.groups.append(f"{index.name}/{name}")
        index.ungrouped += row.group is None
        index.unseamed += not (row.prompt[-1].isspace() or row.completion[0].isspace())
        stored = {
            "prompt": row.prompt,
            "completion": row.completion,
            "source": index.name,
            "group": index.groups[group],
            "id": f"{index.name}-{number}",
        }
        index.offsets.append(self._store.append(stored))
        index.group_of.append(group)
        index.prompts.append(prompt)
        index.pairs.append(digest(row.prompt, row.completion))
