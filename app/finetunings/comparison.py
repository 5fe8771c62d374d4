"""Comparing fine-tunings by the evaluation rows that are stored of them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from app.database import Database
from app.database.models.finetuning import EvaluationItemRow, FineTuningRow
from app.errors import Conflict, NotFound, NotInstalled
from app.finetunings import repository
from app.finetunings.service import BASELINE
from app.finetunings.values import at
from finetuning.comparison.result import Comparison
from finetuning.evaluation.rows import EvaluationRow
from probes.errors import InputError

if TYPE_CHECKING:
    from finetuning.comparison.runs import EvaluatedRun, EvaluatedTask

MOST_KEPT = 32


class Comparisons:
    """Compares, and remembers the last results: the same rows give the same comparison."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Any, ...], Comparison] = OrderedDict()

    def compare(
        self,
        database: Database,
        ids: Sequence[str],
        baseline: str | None = None,
        *,
        by_source: bool = False,
    ) -> Comparison:
        """``finetuning.comparison.compare`` on the stored rows of fine-tunings.

        ``baseline`` is the one that the others are tested against, and need not be among ``ids``.
        One alone is tested against the baseline that was evaluated beside it. Raises ``NotFound``;
        ``Conflict`` where they cannot be compared, in words; ``NotInstalled`` without scipy.
        """
        wanted = list(dict.fromkeys([*([baseline] if baseline else []), *ids]))
        with database.snapshot() as session:
            found = repository.by_ids(session, wanted)
            for each in wanted:
                if each not in found:
                    raise NotFound(f"There is no fine-tuning {each}.")
            runs = [found[each] for each in wanted]
            key = (by_source, baseline, *((run.id, run.changes) for run in runs))
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
                    return self._kept[key]
            made = _compare(session, runs, baseline, by_source)
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return made


def _compare(
    session: Session, runs: Sequence[FineTuningRow], baseline: str | None, by_source: bool
) -> Comparison:
    try:
        return _compared(session, runs, baseline, by_source)
    except ModuleNotFoundError as error:
        raise NotInstalled(
            f"Comparing needs {error.name}, which is not installed where the service runs. Install "
            "it with: pip install 'tonnage[llm]'"
        ) from None
    except InputError as error:
        raise Conflict(str(error)) from None


def _compared(
    session: Session, runs: Sequence[FineTuningRow], baseline: str | None, by_source: bool
) -> Comparison:
    from finetuning.comparison.compare import compare_evaluated
    from finetuning.comparison.runs import short_names

    folders = [Path(run.output) for run in runs]
    if len(runs) == 1:
        names = short_names([folders[0] / "baseline", folders[0]])
        evaluated = [
            _evaluated(session, runs[0], names[0], is_baseline=True),
            _evaluated(session, runs[0], names[1]),
        ]
    else:
        names = short_names(folders)
        evaluated = [_evaluated(session, run, name) for run, name in zip(runs, names, strict=True)]
    return compare_evaluated(evaluated, 0 if baseline else None, by_source=by_source)


def _evaluated(
    session: Session, run: FineTuningRow, name: str, *, is_baseline: bool = False
) -> EvaluatedRun:
    from finetuning.comparison.runs import EvaluatedRun

    tasks = {}
    for task in _tasks(run, is_baseline):
        rows = repository.rows(session, run.id, task, is_baseline=is_baseline)
        summary = run.evaluations[BASELINE + task if is_baseline else task]
        if rows:
            tasks[task] = _task(run, task, rows, summary)
    if not tasks and is_baseline:
        raise InputError(
            f"One fine-tuning alone is compared with a baseline, and none was evaluated beside "
            f"{run.id}. Give a second one, or evaluate it with --baseline."
        )
    if not tasks:
        raise InputError(
            f"Fine-tuning {run.id} was not evaluated. Evaluate it first: tonnage finetune evaluate "
            f"{run.output}"
        )
    return EvaluatedRun(
        name=name,
        folder=Path(run.output) / "baseline" if is_baseline else Path(run.output),
        settings=None if is_baseline else run.settings,
        training_rows=None if is_baseline else at(run.data or {}, "splits", "train", "sha256"),
        tasks=tasks,
        evaluated_model=next((t.model for t in tasks.values() if t.model), None),
    )


def _tasks(run: FineTuningRow, is_baseline: bool) -> list[str]:
    """Names of the tasks with a summary: those whose evaluation has ended."""
    named = [name for name in run.evaluations if name.startswith(BASELINE) == is_baseline]
    return [name.removeprefix(BASELINE) for name in named]


def _task(
    run: FineTuningRow, task: str, rows: Sequence[EvaluationItemRow], summary: Mapping[str, Any]
) -> EvaluatedTask:
    from finetuning.comparison.runs import EvaluatedTask, metric_of

    place = f"The stored summary of {task} of {run.id}"
    model = at(summary, "plan", "model")
    return EvaluatedTask(
        name=task,
        rows=[
            EvaluationRow(task, row.item, row.item_group, row.source, row.values) for row in rows
        ],
        metrics=[metric_of(place, each) for each in summary.get("metrics", [])],
        noun=str(summary.get("noun") or ""),
        model=model if isinstance(model, str) else None,
    )
