"""The folder of one evaluation: rows that survive a kill, what they belong to, and the summary.

``rows.jsonl``: one line per finished item. ``plan.json``: the task, its options and the weights the
rows are of; rows of another plan are set aside. ``summary.json``: written at the end.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from finetuning.evaluation.figures import write_json
from finetuning.evaluation.rows import EvaluationRow, read_rows, write_rows
from probes.errors import InputError


class EvaluationFolder:
    """``rows.jsonl``, ``plan.json`` and ``summary.json`` in one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows_file = path / "rows.jsonl"
        self.plan_file = path / "plan.json"
        self.summary_file = path / "summary.json"

    @contextmanager
    def opened(self, plan: Mapping[str, Any]) -> Iterator[frozenset[str]]:
        """Names of the items whose rows are already here, for as long as this process writes.

        A last line that a kill cut off is removed, so that the next row begins a line of its own.
        Rows of another plan are renamed to ``rows.previous.jsonl``. Raises ``InputError`` where
        another process evaluates into this folder.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InputError(
                    f"Another process evaluates into {self.path}. Wait for it, or stop it."
                ) from error
            self._begin(json.loads(json.dumps(plan)))
            yield frozenset(row.item for row in self.rows())

    def rows(self) -> list[EvaluationRow]:
        """The rows so far, each item once."""
        if not self.rows_file.exists():
            return []
        return list({row.item: row for row in read_rows(self.rows_file)}.values())

    def append(self, row: EvaluationRow) -> None:
        """Keep a row; it survives the end of the process from here on."""
        write_rows(self.rows_file, [row])

    def _begin(self, plan: Mapping[str, Any]) -> None:
        if self.rows_file.exists():
            if self._plan() == plan:
                self._repair()
                return
            self.rows_file.replace(self.path / "rows.previous.jsonl")
        self.summary_file.unlink(missing_ok=True)
        write_json(self.plan_file, plan)

    def _plan(self) -> Any:
        try:
            return json.loads(self.plan_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _repair(self) -> None:
        content = self.rows_file.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        start = whole.rstrip(b"\n").rfind(b"\n") + 1
        try:
            json.loads(whole[start:] or b"{}")
        except ValueError:
            whole = whole[:start]
        if len(whole) < len(content):
            with self.rows_file.open("r+b") as file:
                file.truncate(len(whole))
