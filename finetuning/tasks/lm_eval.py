"""The task ``lm_eval``: any YAML task of lm-evaluation-harness, offline, with its rows kept.

The harness asks the model and scores; here its per-sample results become rows. lm_eval is an extra,
imported when the task is used.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetuning.evaluation.metrics import Direction, Metric
from finetuning.evaluation.rows import EvaluationRow
from probes.errors import InputError

if TYPE_CHECKING:
    from finetuning.evaluation.generation import TrainedModel

NEEDS = "The task lm_eval needs lm-evaluation-harness: python -m pip install 'lm-eval[hf]'"


@dataclass(frozen=True)
class LmEvalItem:
    """One document of a task of the harness."""

    name: str
    task: str
    index: int


class LmEvalTask:
    """Runs the YAML task in the file ``yaml`` on its test (else validation) documents.

    ``num_fewshot``: examples before each question, instead of what the file says. ``chunk``:
    documents that are scored together, after which their rows are kept; a kill loses one chunk.

    A column is one per-sample number of the harness. What it computes of the whole corpus only
    (word perplexity, corpus BLEU) has none, and is left out. Where a file has several filters,
    a column is named ``metric,filter``.

    Nothing is downloaded: the harness's own tasks are not looked at, and the file should name
    local data (``dataset_path: json`` with ``dataset_kwargs: {data_files: …}``).

    Raises ``InputError`` where the harness is not installed or the file is no task.
    """

    name = "lm_eval"
    noun = "document"

    def __init__(self, *, yaml: str, num_fewshot: int | None = None, chunk: int = 64) -> None:
        if importlib.util.find_spec("lm_eval") is None:
            raise InputError(NEEDS)
        if chunk < 1:
            raise InputError(f"chunk={chunk}: give at least 1.")
        if num_fewshot is not None and num_fewshot < 0:
            raise InputError(f"num_fewshot={num_fewshot}: give 0 or more.")
        self.file = Path(yaml).expanduser().resolve()
        if not self.file.is_file():
            raise InputError(f"There is no file {self.file}; give the YAML file of a task.")
        self.num_fewshot, self.chunk = num_fewshot, chunk

    @property
    def metrics(self) -> Sequence[Metric]:
        """Every metric of the task, with the direction that the harness declares."""
        better = self._task.higher_is_better()
        filters = [one.name for one in getattr(self._task, "_filters", ())]
        made = []
        for name in self._task.aggregation():
            higher = better.get(name, True)
            direction = Direction.HIGHER if higher else Direction.LOWER
            for column in [f"{name},{one}" for one in filters] if len(filters) > 1 else [name]:
                about = f"{name} of lm-evaluation-harness, mean of documents"
                made.append(Metric(column, column, direction, about))
        return tuple(made)

    def items(self) -> Sequence[LmEvalItem]:
        """Every document, in the order of the file."""
        task = self._task.task_name
        return [LmEvalItem(f"{task}-{i}", task, i) for i in range(len(self._task.eval_docs))]

    def evaluate(
        self,
        model: TrainedModel,
        items: Sequence[LmEvalItem],
        done: frozenset[str] = frozenset(),
    ) -> Iterator[EvaluationRow]:
        """One row per document that is not in ``done``, chunk by chunk."""
        left = [item for item in items if item.name not in done]
        if not left:
            return
        training = model.model.training
        try:
            harness_model = self._harness_model(model)
            for first in range(0, len(left), self.chunk):
                yield from self._scored(harness_model, left[first : first + self.chunk])
        finally:
            model.model.train(training)

    def summary(self, model: TrainedModel, rows: Sequence[EvaluationRow]) -> dict[str, Any]:
        """What was run: the harness's version, the task and its version."""
        from importlib.metadata import version

        return {
            "signatures": {"lm_eval": version("lm_eval")},
            "harness_task": self._task.task_name,
            "harness_task_version": str(self._task.VERSION),
            "num_fewshot": self._task.get_config("num_fewshot"),
            "batch_size": model.batch_size,
            "documents": len(rows),
        }

    # -- the harness --------------------------------------------------------------------------

    @cached_property
    def _task(self) -> Any:
        """The harness's task. What it prints goes to stderr."""
        with contextlib.redirect_stdout(sys.stderr):
            from lm_eval.tasks import TaskManager

            manager = TaskManager(include_path=str(self.file.parent), include_defaults=False)
            try:
                loaded = manager.load([str(self.file)])["tasks"]
            except Exception as error:  # the harness raises what YAML, datasets and Jinja raise
                first = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise InputError(
                    f"{self.file} cannot be loaded as a task of the harness: {first}"
                ) from error
        if len(loaded) != 1:
            raise InputError(f"{self.file} holds {len(loaded)} tasks; give a file with one.")
        [task] = loaded.values()
        if self.num_fewshot is not None:
            task.set_config(key="num_fewshot", value=self.num_fewshot)
        elif task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        task.set_fewshot_seed(seed=1234)  # the harness's own default
        return task

    @staticmethod
    def _harness_model(model: TrainedModel) -> Any:
        if not hasattr(model, "tokenizer"):
            raise InputError("The task lm_eval needs a transformers model with its tokenizer.")
        with contextlib.redirect_stdout(sys.stderr):
            from lm_eval.models.huggingface import HFLM

            return HFLM(
                pretrained=model.model,
                tokenizer=model.tokenizer,
                backend="causal",
                batch_size=model.batch_size,
                max_length=model.context_length,
            )

    def _scored(self, model: Any, items: Sequence[LmEvalItem]) -> Iterator[EvaluationRow]:
        from lm_eval.evaluator import evaluate

        task = self._task.task_name
        wanted = {item.index: item for item in items}
        with contextlib.redirect_stdout(sys.stderr):
            results = evaluate(
                lm=model,
                task_dict={"tasks": {task: self._task}, "groups": {}, "group_map": {}},
                samples={task: sorted(wanted)},
                bootstrap_iters=0,
                log_samples=True,
            )
        values: dict[int, dict[str, float]] = {index: {} for index in wanted}
        details: dict[int, dict[str, Any]] = {}
        samples = results["samples"][task]
        several = len({sample["filter"] for sample in samples}) > 1
        for sample in samples:
            index = sample["doc_id"]
            values[index].update(_numbers(sample, several))
            details.setdefault(index, {"answer": str(sample["filtered_resps"])})
            details[index].setdefault("reference", str(sample["target"]))
        for index, item in wanted.items():
            yield EvaluationRow(
                task=self.name,
                item=item.name,
                group=item.name,
                source=task,
                values=values[index],
                details=details.get(index, {}),
            )


def _numbers(sample: Mapping[str, Any], several: bool) -> dict[str, float]:
    """The per-sample metrics that are plain numbers."""
    found = {}
    for metric in sample["metrics"]:
        value: Any = sample.get(metric)
        if hasattr(value, "item"):
            value = value.item()
        if isinstance(value, (bool, int, float)):
            found[f"{metric},{sample['filter']}" if several else metric] = float(value)
    return found
