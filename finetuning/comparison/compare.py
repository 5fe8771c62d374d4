"""Compares evaluated runs: every metric, on the items that two models have in common.

``compare`` reads the rows that the evaluation kept. Nothing is sampled from a distribution that was
assumed, and nothing is tested that the machine's load decides (speed, memory).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from finetuning.comparison import statistics
from finetuning.comparison.contrast import contrast, flat
from finetuning.comparison.pairing import PairedSums, by_item, left_out, pair, sums_of
from finetuning.comparison.result import ComparedRun, Comparison, ModelFigure
from finetuning.comparison.runs import EvaluatedRun, EvaluatedTask, read_runs
from finetuning.comparison.testing import Method, Question, answers
from finetuning.evaluation.metrics import Metric
from finetuning.evaluation.rows import EvaluationRow
from finetuning.run_folder import BASELINE
from probes.errors import InputError
from probes.space import unknown_name

FIGURE_RESAMPLES = 1_999
"""For the interval of one model's figure, which nothing is decided by."""
MACHINE_UNITS = frozenset({"s", "ms", "µs", "tokens/s", "items/s", "bytes", "MiB", "GiB", "J", "W"})
"""Metrics in these units depend on what else the machine did, which differs between two runs for
all items at once: a test over items would take that for a difference between the models."""

Rows = Mapping[str, EvaluationRow]


def compare(
    *runs: str | Path,
    baseline: str | Path | None = None,
    seed: int = 0,
    level: float = statistics.LEVEL,
    by_source: bool = False,
    resamples: int = statistics.RESAMPLES,
) -> Comparison:
    """Compare the evaluated runs in these folders.

    ``baseline``: the folder or the name of a run; the others are tested against it. With two runs
    it is the first, and with more and no baseline every pair is tested. One run alone is tested
    against the baseline that was evaluated with it, if there is one. ``level``: the family-wise
    error of all tests together, between 0 and 1. ``by_source``: test each data source by itself
    too; these tests count in the correction. The same rows and ``seed`` give the same result.

    Raises ``InputError`` for fewer than two runs, a folder without an evaluation, and runs without
    common tasks or items.

    Example::

        comparison = compare("out/lora", "out/full", baseline="out/base")
        print("\\n".join(comparison.sentences))
    """
    folders, first = _folders(runs, baseline)
    if len(folders) < 2:
        raise InputError(
            "A comparison needs at least two runs, or one with an evaluated baseline. Give their "
            "output folders."
        )
    return compare_evaluated(
        read_runs(folders),
        first,
        seed=seed,
        level=level,
        by_source=by_source,
        resamples=resamples,
    )


def compare_evaluated(
    evaluated: Sequence[EvaluatedRun],
    first: int | None = None,
    *,
    seed: int = 0,
    level: float = statistics.LEVEL,
    by_source: bool = False,
    resamples: int = statistics.RESAMPLES,
) -> Comparison:
    """``compare`` for at least two runs that were read already, wherever their rows are kept.

    ``first``: which of them the others are tested against; none: every pair, or with two runs the
    first. Raises ``InputError`` for runs without common tasks or items.
    """
    if not 0 < level < 1:
        raise InputError(f"level={level}: give a number between 0 and 1, such as 0.05.")
    if resamples < 99:
        raise InputError(f"resamples={resamples}: give at least 99.")
    if seed < 0:
        raise InputError(f"seed={seed}: give a whole number of at least 0.")
    if first is None and len(evaluated) == 2:
        first = 0
    chosen = _chosen_pairs(evaluated, first)
    notes: list[str] = []
    questions: list[Question] = []
    for ours, theirs in chosen:
        found = list(_questions(ours, theirs, by_source, notes))
        if not found:
            raise InputError(_nothing_in_common(ours, theirs))
        questions += found
    method = Method(seed, level, resamples)
    tests = tuple(answers(questions, method))
    return Comparison(
        runs=tuple(_described(run) for run in evaluated),
        baseline=None if first is None else evaluated[first].name,
        level=level,
        confidence=statistics.CONFIDENCE,
        resamples=resamples,
        seed=seed,
        tests_corrected=sum(test.p_value is not None for test in tests),
        contrasts=tuple(contrast(ours, theirs) for ours, theirs in chosen),
        figures=tuple(figure for run in evaluated for figure in _figures(run, method)),
        tests=tests,
        sentences=tuple(test.sentence for test in tests),
        notes=tuple(dict.fromkeys([*notes, *_machine_notes(evaluated)])),
    )


def _folders(
    runs: Sequence[str | Path], baseline: str | Path | None
) -> tuple[list[Path], int | None]:
    """All folders to read, and which of them is the baseline."""
    folders = [Path(run) for run in runs]
    if baseline is None and len(folders) == 1 and (folders[0] / BASELINE / "evaluation").is_dir():
        return [folders[0] / BASELINE, *folders], 0
    if baseline is None:
        return folders, None
    resolved = [folder.resolve() for folder in folders]
    names = [folder.name for folder in resolved]
    if names.count(str(baseline)) == 1:
        return folders, names.index(str(baseline))
    if Path(baseline).resolve() in resolved:
        return folders, resolved.index(Path(baseline).resolve())
    if Path(baseline).is_dir():
        return [Path(baseline), *folders], 0
    if names.count(str(baseline)) > 1:
        raise InputError(f"baseline={baseline}: several runs have this name. Give its folder.")
    raise InputError(unknown_name("baseline", str(baseline), [str(folder) for folder in folders]))


def _chosen_pairs(
    runs: Sequence[EvaluatedRun], baseline: int | None
) -> list[tuple[EvaluatedRun, EvaluatedRun]]:
    if baseline is None:
        return list(itertools.combinations(runs, 2))
    return [(runs[baseline], run) for place, run in enumerate(runs) if place != baseline]


def _questions(
    baseline: EvaluatedRun, model: EvaluatedRun, by_source: bool, notes: list[str]
) -> Iterator[Question]:
    """What is asked of two runs; what is left out is added to ``notes``."""
    for name in sorted({*baseline.tasks, *model.tasks}):
        ours, theirs = baseline.tasks.get(name), model.tasks.get(name)
        if ours is not None and theirs is not None:
            yield from _task_questions(baseline.name, model.name, ours, theirs, by_source, notes)
            continue
        there, missing = (baseline, model) if theirs is None else (model, baseline)
        notes.append(
            f"Task {name!r} was evaluated for {there.name} and not for {missing.name}, so these "
            "two are not compared on it."
        )


def _task_questions(
    baseline: str,
    model: str,
    ours: EvaluatedTask,
    theirs: EvaluatedTask,
    by_source: bool,
    notes: list[str],
) -> Iterator[Question]:
    a, b = by_item(ours.rows, baseline), by_item(theirs.rows, model)
    if not a.keys() & b.keys():
        raise InputError(
            f"Task {ours.name!r}: {baseline} and {model} have no item in common. Evaluate both "
            "with the same test data and the same options of the task."
        )
    sources = _sources(a, b) if by_source else []
    asked: dict[tuple[str, str | None], str] = {}
    for metric in _common_metrics(ours, theirs, baseline, model):
        if metric.unit in MACHINE_UNITS:
            continue
        same = asked.setdefault((metric.column, metric.weight), metric.name)
        if same != metric.name:
            notes.append(
                f"{ours.name}: {metric.name.replace('_', ' ')} is {same.replace('_', ' ')} on "
                "another scale, so it is not tested a second time."
            )
            continue
        for source in (None, *(sources if len(sources) > 1 else ())):
            pairs = pair(_of(a, source), _of(b, source), metric)
            if not (pairs.items or pairs.unpaired or pairs.unusable):
                continue  # no item of this source has the column
            if source is None and left_out(pairs):
                notes.append(
                    f"{ours.name}, {metric.name.replace('_', ' ')}, {model} and {baseline}: "
                    f"{left_out(pairs)}, left out for both."
                )
            noun = _noun(ours, pairs)
            yield Question(ours.name, metric, source, baseline, model, noun, pairs)


def _figures(run: EvaluatedRun, method: Method) -> Iterator[ModelFigure]:
    """Every metric of a run over all items, and over each source where there are several."""
    for task in run.tasks.values():
        rows = by_item(task.rows, run.name)
        sources = _sources(rows)
        for metric in task.metrics:
            for source in (None, *(sources if len(sources) > 1 else ())):
                sums, items = sums_of(_of(rows, source), metric)
                if not items:
                    continue
                found = statistics.bootstrap_interval(
                    sums,
                    seed=method.stream(task.name, metric.name, source, run.name),
                    resamples=min(FIGURE_RESAMPLES, method.resamples),
                )
                value, low, high = (
                    one if math.isfinite(one) else None
                    for one in (found.value, found.low, found.high)
                )
                yield ModelFigure(
                    model=run.name,
                    task=task.name,
                    metric=metric.name,
                    source=source,
                    value=value,
                    low=low,
                    high=high,
                    items=items,
                    groups=len(sums.weight),
                    unit=metric.unit,
                    direction=metric.direction,
                )


def _common_metrics(
    ours: EvaluatedTask, theirs: EvaluatedTask, baseline: str, model: str
) -> list[Metric]:
    """Metrics that both runs declare. Raises ``InputError`` where they mean different things."""
    other = {metric.name: metric for metric in theirs.metrics}
    common = [metric for metric in ours.metrics if metric.name in other]
    for metric in common:
        if replace(metric, about="") != replace(other[metric.name], about=""):
            raise InputError(
                f"Task {ours.name!r}: {baseline} and {model} define the metric {metric.name!r} "
                "differently. Evaluate both with the same version."
            )
    return common


def _sources(*sides: Rows) -> list[str]:
    return sorted({row.source for rows in sides for row in rows.values()})


def _of(rows: Rows, source: str | None) -> Rows:
    if source is None:
        return rows
    return {name: row for name, row in rows.items() if row.source == source}


def _noun(task: EvaluatedTask, pairs: PairedSums) -> str:
    return task.noun or ("item" if len(pairs.groups) == pairs.items else "group")


def _described(run: EvaluatedRun) -> ComparedRun:
    known = {name: str(value) for name, value in flat(run.settings or {}).items() if value}
    return ComparedRun(
        name=run.name,
        folder=str(run.folder),
        base_model=known.get("model.name"),
        strategy=known.get("strategy"),
        preset=known.get("preset"),
    )


def _machine_notes(runs: Sequence[EvaluatedRun]) -> Iterator[str]:
    names = {
        metric.name.replace("_", " ")
        for run in runs
        for task in run.tasks.values()
        for metric in task.metrics
        if metric.unit in MACHINE_UNITS
    }
    if names:
        yield (
            f"Not tested: {', '.join(sorted(names))}. What else the machine did during an "
            "evaluation moves all items at once, which a test over items would take for a "
            "difference between the models."
        )


def _nothing_in_common(baseline: EvaluatedRun, model: EvaluatedRun) -> str:
    return (
        f"{baseline.name} was evaluated on {', '.join(sorted(baseline.tasks))}, and {model.name} "
        f"on {', '.join(sorted(model.tasks))}: they have no task and metric in common. Evaluate "
        "both on the same tasks."
    )
