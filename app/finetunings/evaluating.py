"""Evaluating a run with its rows stored: on the command line, and as a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.database import Database
from app.finetunings import service
from finetuning.evaluation.rows import read_rows
from finetuning.run import FineTuning
from finetuning.run_folder import BASELINE


def store_evaluation(
    database: Database, finetuning_id: str, run: FineTuning, found: Mapping[str, Any]
) -> None:
    """Keep the rows and summaries of an evaluation, ``FineTuning.evaluate``. What is stored of the
    same tasks is replaced."""
    folders = {"run": run.folder.evaluation, BASELINE: run.folder.baseline.evaluation}
    for of, folder in folders.items():
        for task, summary in found[of].items():
            rows = read_rows(folder / task / "rows.jsonl")
            service.add_rows(database, finetuning_id, task, rows, summary, baseline=of == BASELINE)
