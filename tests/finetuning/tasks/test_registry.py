"""Tasks are found by name, or in a file of the user's."""

from __future__ import annotations

from pathlib import Path

import pytest

from finetuning.tasks.registry import TASKS, load_task
from probes.errors import InputError

OWN = """
from finetuning.evaluation.metrics import Direction, Metric
from finetuning.evaluation.rows import EvaluationRow

class Lengths:
    name = "lengths"
    metrics = (Metric("length", "length", Direction.HIGHER, "Characters of an answer"),)

    def __init__(self, words, repeat=1):
        self.words = list(words) * repeat

    def items(self):
        return self.words

    def evaluate(self, model, items, done=frozenset()):
        for word in items:
            if word not in done:
                [answer] = model.generate([word], max_new_tokens=4)
                yield EvaluationRow("lengths", word, word, "own", {"length": float(len(answer))})

class NoTask:
    pass

number = 3
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    path = tmp_path / "my_task.py"
    path.write_text(OWN)
    return path


def test_a_task_of_the_users_takes_its_options_by_name(own: Path) -> None:
    task = load_task(f"{own}:Lengths", {"words": ["a", "b"], "repeat": 2})
    assert task.name == "lengths"
    assert task.items() == ["a", "b", "a", "b"]


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("Lengths", {}, "option words"),
        ("Lengths", {"words": [], "repaet": 2}, "repeat"),
        ("Length", {"words": []}, "'Lengths'"),
        ("NoTask", {}, "not a task"),
        ("number", {}, "not a class"),
    ],
)
def test_what_is_no_task_is_refused(
    own: Path, name: str, options: dict[str, object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        load_task(f"{own}:{name}", options)


@pytest.mark.parametrize("spec", ["snak", "nowhere.py:Task", "json:loads", "file.py"])
def test_an_unknown_task_is_refused(spec: str) -> None:
    with pytest.raises(InputError, match=r"Unknown task|no file"):
        load_task(spec)


def test_the_known_tasks_are_all_that_can_be_given() -> None:
    with pytest.raises(InputError, match="Known: language, snake, lm_eval"):
        load_task("nope")


def test_every_registered_name_is_the_name_of_its_task() -> None:
    assert list(TASKS) == ["snake", "lm_eval"]
    assert load_task("snake").name == "snake"


def test_a_name_may_be_written_with_hyphens() -> None:
    with pytest.raises(InputError, match="lm-eval needs the option yaml"):
        load_task("lm-eval", {})
