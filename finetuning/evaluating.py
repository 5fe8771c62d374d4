"""Evaluates a fine-tuning run: every task, one row per item, resumed where it was interrupted.

What a task and a figure are is in ``evaluation`` and ``tasks``; this module brings them together.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetuning.evaluation.figures import summary, write_json
from finetuning.evaluation.folder import EvaluationFolder
from finetuning.evaluation.language import NAME as LANGUAGE
from finetuning.evaluation.language import OPTIONS as LANGUAGE_OPTIONS
from finetuning.evaluation.language import LanguageTask, read_held_out
from finetuning.evaluation.weights import digest
from finetuning.run_folder import BASELINE, RunFolder
from finetuning.tasks.registry import check_options, load_task
from finetuning.tasks.task import Task
from probes.errors import InputError
from probes.worker.channel import Channel

if TYPE_CHECKING:
    from finetuning.evaluation.generation import TrainedModel


@dataclass(frozen=True)
class EvaluationProgress:
    """How far the evaluation of one model on one task is. Times in seconds."""

    model: str
    """``run`` or ``baseline``."""
    task: str
    done: int
    total: int
    elapsed_s: float
    left_s: float | None
    """None before the first item is done."""


OnProgress = Callable[[EvaluationProgress], None]
Loader = Callable[[Path, "str | None", "str | None"], "TrainedModel"]
"""Run folder, baseline or none, device or none: the model that is evaluated."""


@dataclass(frozen=True)
class Evaluated:
    """The summaries of an evaluation, by the name of the task (see ``summary.json``)."""

    run: Mapping[str, Mapping[str, Any]]
    baseline: Mapping[str, Mapping[str, Any]]
    """Empty where no baseline was evaluated."""


def evaluate(
    run_folder: Path | str,
    tasks: Sequence[str | Task] = (LANGUAGE,),
    baseline: str | None = None,
    limit: int | None = None,
    on_progress: OnProgress | None = None,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    load: Loader | None = None,
    names: Mapping[str, str] | None = None,
) -> Evaluated:
    """Evaluate the model of a run, and a baseline on the same items.

    ``tasks``: ``language``, a name of ``TASKS``, ``path/to/file.py:Class``, ``path/to/task.yaml``
    (of lm-evaluation-harness), or a task. ``options``: keyword arguments of tasks, by the name they
    are given as; ``names`` likewise: under which name the rows are kept, if not the task's own.
    ``baseline``: ``base`` for the model that the run began with, or a model's folder or name; its
    rows go to ``baseline/evaluation`` inside the run's folder. ``limit``: at most this many items
    of each task. ``batch_size``: rows that are computed at once (default 16). ``load`` makes the
    model; by default what the run saved.

    Rows are appended to ``evaluation/TASK/rows.jsonl`` as they are made. Called again, also after a
    kill, it evaluates only what is missing; rows of other weights, data or options are set aside
    and made again. Raises ``InputError`` for a task, option or folder that cannot be used.
    """
    folder = Path(run_folder)
    if not folder.is_dir():
        raise InputError(f"There is no run folder {folder}.")
    if limit is not None and limit < 1:
        raise InputError(f"limit={limit}: give at least 1.")
    if load is None:
        RunFolder(folder).check_trained()
        _check_baseline(folder, baseline)
    made = _tasks(folder, tasks, options or {}, names or {})
    models: list[tuple[str, Path, str | None]] = [("run", folder, None)]
    if baseline is not None:
        models.append((BASELINE, folder / BASELINE, baseline))
    summaries: dict[str, dict[str, Any]] = {"run": {}, BASELINE: {}}
    for name, place, other in models:
        model = (load or _load)(folder, other, device)
        if batch_size is not None:
            model.batch_size = batch_size
        identity = _identity(folder, other)
        for task, plan in made:
            summaries[name][task.name] = _evaluate_task(
                _Subject(name, model, EvaluationFolder(place / "evaluation" / task.name)),
                task,
                {**plan, **identity},
                limit,
                on_progress,
            )
        del model  # before the next one is loaded
    return Evaluated(summaries["run"], summaries[BASELINE])


def evaluate_job(arguments: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """``evaluate`` as a job of the worker: plain data in and out, in the user's interpreter.

    ``arguments``: ``output`` (the run's folder), ``tasks``, and optionally ``baseline``, ``limit``,
    ``options``, ``names``, ``device``, ``batch_size``. Returns ``{"run": …, "baseline": …}``, the
    summaries by task. Progress is told as ``evaluate`` with step, of (items), model, task,
    elapsed_s and left_s.
    """

    def tell(progress: EvaluationProgress) -> None:
        channel.progress(
            "evaluate",
            progress.done,
            progress.total,
            always=progress.done == progress.total,
            model=progress.model,
            task=progress.task,
            elapsed_s=progress.elapsed_s,
            left_s=progress.left_s,
        )

    found = evaluate(
        arguments["output"],
        arguments.get("tasks") or ("language",),
        arguments.get("baseline"),
        arguments.get("limit"),
        tell,
        options=arguments.get("options"),
        device=arguments.get("device"),
        batch_size=arguments.get("batch_size"),
        names=arguments.get("names"),
    )
    return {"run": dict(found.run), "baseline": dict(found.baseline)}


# -- one task --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Subject:
    """What is evaluated, and where its rows go."""

    name: str
    model: TrainedModel
    folder: EvaluationFolder


def _evaluate_task(
    subject: _Subject,
    task: Any,
    plan: Mapping[str, Any],
    limit: int | None,
    on_progress: OnProgress | None,
) -> dict[str, Any]:
    items = task.items()[:limit]
    begin = time.monotonic()
    with subject.folder.opened(plan) as before:
        done = len([item for item in items if _name(item) in before])
        first = done

        def report() -> None:
            elapsed = time.monotonic() - begin
            left = elapsed / (done - first) * (len(items) - done) if done > first else None
            if on_progress is not None:
                total = len(items)
                on_progress(EvaluationProgress(subject.name, task.name, done, total, elapsed, left))

        report()
        for row in task.evaluate(subject.model, items, before):
            subject.folder.append(row)
            done += 1
            report()
        wanted = {_name(item) for item in items}
        rows = [row for row in subject.folder.rows() if row.item in wanted]
        own = getattr(task, "summary", None)
        extra = own(subject.model, rows) if own is not None and rows else {}
        about = {"noun": getattr(task, "noun", ""), "plan": plan}
        found = summary(task.name, task.metrics, rows, {**about, **extra})
        write_json(subject.folder.summary_file, found)
    return found


def _identity(folder: Path, baseline: str | None) -> dict[str, str]:
    """What tells the evaluated weights apart from others."""
    if baseline is None:
        return {"model": digest(folder / "model")}
    return {"baseline": baseline, "model": digest(Path(baseline).expanduser())}


def _name(item: Any) -> str:
    name = item if isinstance(item, str) else getattr(item, "name", None)
    if not isinstance(name, str):
        raise InputError(
            f"An item of a task is a text or has a name, as its row has in ``item``; {item!r} has "
            "none."
        )
    return name


def _tasks(
    folder: Path,
    tasks: Sequence[str | Task],
    options: Mapping[str, Mapping[str, Any]],
    renamed: Mapping[str, str],
) -> list[tuple[Any, dict[str, Any]]]:
    """Each task with what its rows depend on beside the model."""
    named = [task for task in tasks if isinstance(task, str)]
    _check_options(named, options)
    made: list[tuple[Any, dict[str, Any]]] = []
    for task in tasks:
        if not isinstance(task, str):
            made.append((task, {"task": type(task).__qualname__}))
            continue
        chosen = dict(options.get(task, {}))
        plan = {"task": task, "options": chosen}
        if task == LANGUAGE:
            test = folder / "data" / "test.jsonl"
            made.append((_language(test, chosen), {**plan, "data": digest(test)}))
        else:
            loaded: Any = load_task(task, chosen)
            if task in renamed:
                loaded.name = renamed[task]
            made.append((loaded, plan))
    names = [task.name for task, _ in made]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise InputError(f"The task {', '.join(twice)} is given twice.")
    return made


def _check_options(named: Iterable[str], options: Mapping[str, Mapping[str, Any]]) -> None:
    unused = set(options) - set(named)
    if unused:
        raise InputError(
            f"Options are given for {', '.join(sorted(unused))}, which is not evaluated. Tasks: "
            f"{', '.join(named)}."
        )


def _language(test: Path, options: Mapping[str, Any]) -> LanguageTask:
    check_options(LANGUAGE, options, LANGUAGE_OPTIONS)
    return LanguageTask(read_held_out(test), **options)


def _check_baseline(folder: Path, baseline: str | None) -> None:
    """Before the run itself is evaluated, which may take long."""
    from finetuning.evaluation.loading import check_baseline

    if baseline is not None:
        check_baseline(folder, baseline)


def _load(folder: Path, baseline: str | None, device: str | None) -> TrainedModel:
    from finetuning.evaluation.loading import load_trained

    return load_trained(folder, baseline=baseline, device=device)
