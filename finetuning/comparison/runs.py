"""The folder of a run, as far as a comparison reads it: settings, training rows, evaluation rows.

Standard library only, but for reading YAML.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetuning.evaluation.metrics import Direction, Metric
from finetuning.evaluation.rows import EvaluationRow, read_rows
from finetuning.run_folder import RunFolder
from probes.errors import InputError
from probes.formatting import first_line

EVALUATE = "Evaluate it first: tonnage finetune evaluate"


@dataclass(frozen=True)
class EvaluatedTask:
    """What one model did on one task."""

    name: str
    rows: Sequence[EvaluationRow]
    metrics: Sequence[Metric]
    noun: str = ""
    """What a group is called in the singular; empty: the task does not say."""
    model: str | None = None


@dataclass(frozen=True)
class EvaluatedRun:
    """A model with its settings and everything that was evaluated."""

    name: str
    folder: Path
    settings: Mapping[str, Any] | None
    """Nested plain values; none where the folder has no settings (a model as downloaded)."""
    training_rows: str | None
    """Digest of the rows it was trained on; none where they are not in the folder."""
    tasks: Mapping[str, EvaluatedTask]
    evaluated_model: str | None = None
    """What the evaluation calls the model: a name or a folder, or the digest of weights."""


def read_runs(folders: Sequence[str | Path]) -> list[EvaluatedRun]:
    """The runs in these folders, each with a name of its own.

    Raises ``InputError`` where a folder does not exist or holds no evaluation.
    """
    paths = [Path(folder) for folder in folders]
    return [_read_run(path, name) for path, name in zip(paths, short_names(paths))]


def _read_run(folder: Path, name: str) -> EvaluatedRun:
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give the output folder of a run.")
    files = sorted(folder.glob("evaluation/*/rows.jsonl"))
    tasks = {task.name: task for task in map(_read_task, files) if task.rows}
    if not tasks:
        raise InputError(f"{folder} holds no evaluation. {EVALUATE} {folder}")
    model = next((task.model for task in tasks.values() if task.model), None)
    return EvaluatedRun(name, folder, _settings(folder), _digest(folder), tasks, model)


def _read_task(file: Path) -> EvaluatedTask:
    name = file.parent.name
    summary_file = file.with_name("summary.json")
    summary = _summary(summary_file)
    if "metrics" not in summary:
        raise InputError(
            f"{summary_file} is missing or declares no metrics: the evaluation of {name!r} did not "
            f"end. Evaluate the run again; what was evaluated is kept: tonnage finetune evaluate "
            f"{file.parent.parent.parent}"
        )
    return EvaluatedTask(
        name=name,
        rows=read_rows(file),
        metrics=[metric_of(summary_file, plain) for plain in summary["metrics"]],
        noun=str(summary.get("noun") or ""),
        model=_model(summary),
    )


def _summary(file: Path) -> Mapping[str, Any]:
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except OSError:
        return {}
    except ValueError as error:
        raise InputError(f"{file} is not JSON: {error}.") from error
    return summary if isinstance(summary, dict) else {}


def _model(summary: Mapping[str, Any]) -> str | None:
    plan = summary.get("plan")
    model = plan.get("model") if isinstance(plan, dict) else None
    return model if isinstance(model, str) else None


def metric_of(file: Path | str, plain: Any) -> Metric:
    """A metric as a summary declares it. Raises ``InputError`` that names ``file``."""
    try:
        known = {name: plain[name] for name in Metric.__dataclass_fields__ if name in plain}
        return Metric(**{**known, "direction": Direction(plain["direction"])})
    except (TypeError, ValueError, KeyError) as error:
        raise InputError(
            f"{file}: a metric needs a name, a column and a direction ({error})."
        ) from error


def _settings(folder: Path) -> Mapping[str, Any] | None:
    file = RunFolder(folder).settings
    if not file.is_file():
        return None
    import yaml

    try:
        plain = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{file} cannot be read: {first_line(error)}.") from error
    if not isinstance(plain, dict):
        raise InputError(f"{file} holds no settings: a table of names and values is expected.")
    return plain


def _digest(folder: Path) -> str | None:
    try:
        with (folder / "data" / "train.jsonl").open("rb") as file:
            digest = hashlib.sha256()
            while block := file.read(2**20):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


def short_names(paths: Sequence[Path]) -> list[str]:
    """The shortest end of each path that no other has; a path given twice is numbered."""
    parts = [path.resolve().parts for path in paths]
    deepest = max(map(len, parts), default=1)
    for depth in range(1, deepest + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(set(parts)):
            break
    return [
        name if names.index(name) == place else f"{name} ({names[: place + 1].count(name)})"
        for place, name in enumerate(names)
    ]
