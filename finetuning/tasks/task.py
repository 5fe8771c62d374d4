"""The interface of a task: what a model is given to do, and how well it did it.

A new task is one file: a class with these members, named in ``finetuning.tasks.TASKS`` or given as
``path/to/file.py:Class``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

from finetuning.evaluation.metrics import Metric
from finetuning.evaluation.rows import EvaluationRow


class LanguageModel(Protocol):
    """What a task may ask of a model, however it was trained."""

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int) -> list[str]:
        """One greedy continuation per prompt, without the prompt."""
        ...

    def nll(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, int]]:
        """For each (prompt, completion): the summed negative log-likelihood of the completion in
        nats, and how many tokens it has."""
        ...


@runtime_checkable
class Task(Protocol):
    """Plays or scores paired items: the same items, in the same order, for every model.

    A task may also have ``noun`` (what a group is called, in the singular: ``game``) and
    ``summary(model, rows)``, whose plain values are added to ``summary.json``.
    """

    name: str
    metrics: Sequence[Metric]

    def items(self) -> Sequence[Any]:
        """The items, each with a name that ``evaluate`` repeats in its row. They depend on the
        options of the task only, never on the model."""
        ...

    def evaluate(
        self, model: LanguageModel, items: Sequence[Any], done: frozenset[str] = frozenset()
    ) -> Iterator[EvaluationRow]:
        """One row per item that is not in ``done`` (names of items), as each is finished."""
        ...
