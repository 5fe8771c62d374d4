"""Tasks of lm-evaluation-harness, offline, document by document."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from finetuning.evaluation.figures import figures
from finetuning.tasks.registry import load_task
from probes.errors import InputError
from tests.finetuning import tiny

QUESTIONS = [
    ("Head: (1,1) Apple: (1,5)", "UP"),
    ("Head: (1,1) Apple: (5,1)", "RIGHT"),
    ("Head: (5,5) Apple: (1,5)", "LEFT"),
    ("Head: (5,5) Apple: (5,1)", "DOWN"),
    ("Head: (3,3) Apple: (3,6)", "UP"),
]
MOVES = ["UP", "DOWN", "LEFT", "RIGHT"]
CHOICE = """
task: snake_choice
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{data}"}}, cache_dir: "{cache}"}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}\\n"
doc_to_choice: [UP, DOWN, LEFT, RIGHT]
doc_to_target: label
target_delimiter: ""
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
metadata: {{version: 2.0}}
"""
GENERATED = """
task: snake_answer
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{data}"}}, cache_dir: "{cache}"}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}\\n"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{max_gen_toks: 8, until: ["\\n"], do_sample: false}}
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("lm_eval")
    made = tmp_path_factory.mktemp("harness")
    lines = [
        {"question": question, "answer": answer, "label": MOVES.index(answer)}
        for question, answer in QUESTIONS
    ]
    data = made / "data.jsonl"
    data.write_text("\n".join(map(json.dumps, lines)) + "\n")
    (made / "choice.yaml").write_text(CHOICE.format(data=data, cache=made))
    (made / "answer.yaml").write_text(GENERATED.format(data=data, cache=made))
    return made


@pytest.fixture(scope="module")
def model() -> Any:
    """Knows the first four answers by heart, and a wrong one to the fifth."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from finetuning.evaluation.generation import TrainedModel

    tokens = tiny.tokenizer([*tiny.TEXTS, *(question for question, _ in QUESTIONS)])
    made = tiny.llama(tokens)
    taught = [*QUESTIONS[:4], (QUESTIONS[4][0], "LEFT")]
    tiny.teach(made, tokens, [(question + "\n", answer) for question, answer in taught], steps=120)
    return TrainedModel(made, tokens, batch_size=2)


@pytest.mark.parametrize(
    ("file", "metric"), [("choice.yaml", "acc"), ("answer.yaml", "exact_match")]
)
def test_a_yaml_task_gives_one_row_per_document(
    folder: Path, model: Any, file: str, metric: str
) -> None:
    task = load_task(str(folder / file), {"chunk": 3})
    items = task.items()
    rows = list(task.evaluate(model, items))
    assert [row.item for row in rows] == [item.name for item in items]
    assert [row.values[metric] for row in rows] == [1, 1, 1, 1, 0]
    found = figures(task.metrics, rows)[metric]
    assert (found.value, found.n, found.direction) == (0.8, 5, "higher")


def test_documents_that_are_done_are_not_scored_again(folder: Path, model: Any) -> None:
    task = load_task("lm_eval", {"yaml": str(folder / "choice.yaml")})
    items = task.items()
    done = frozenset(item.name for item in items[1:])
    assert [row.item for row in task.evaluate(model, items, done)] == [items[0].name]
    assert list(task.evaluate(model, items, frozenset(item.name for item in items))) == []


def test_the_model_is_left_as_it_was(folder: Path, model: Any) -> None:
    task = load_task("lm_eval", {"yaml": str(folder / "choice.yaml")})
    model.model.train()
    try:
        list(task.evaluate(model, task.items()[:1]))
        assert model.model.training
    finally:
        model.model.eval()


def test_the_summary_says_which_harness_and_task(folder: Path, model: Any) -> None:
    task: Any = load_task("lm_eval", {"yaml": str(folder / "choice.yaml")})
    found = task.summary(model, [])
    assert found["harness_task"] == "snake_choice"
    assert found["harness_task_version"] == "2.0"
    assert found["signatures"]["lm_eval"].startswith("0.")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"yaml": "nowhere.yaml"}, "no file"),
        ({"yaml": __file__, "chunk": 0}, "chunk=0"),
        ({"yaml": __file__, "num_fewshot": -1}, "num_fewshot=-1"),
        ({}, "yaml"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], said: str) -> None:
    pytest.importorskip("lm_eval")
    with pytest.raises(InputError, match=said):
        load_task("lm_eval", options)


def test_a_file_that_is_no_task_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    broken = tmp_path / "broken.yaml"
    broken.write_text("task: broken\ndataset_path: json\noutput_type: unheard_of\n")
    with pytest.raises(InputError, match=r"broken\.yaml"):
        load_task("lm_eval", {"yaml": str(broken)}).items()


def test_without_the_harness_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install 'lm-eval"):
        load_task("lm_eval", {"yaml": "task.yaml"})
