"""Figures of held-out rows, each against a computation by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("sacrebleu")
pytest.importorskip("rouge_score")

from finetuning.evaluation.figures import figures  # noqa: E402
from finetuning.evaluation.generation import TrainedModel  # noqa: E402
from finetuning.evaluation.language import (  # noqa: E402
    METRICS,
    HeldOutRow,
    LanguageTask,
    decision_of,
    read_held_out,
    same_decision,
)
from probes.errors import InputError, MeasurementError  # noqa: E402
from tests.finetuning import tiny  # noqa: E402

MOVES = ["UP", "DOWN", "LEFT", "RIGHT"]
ROWS = [
    HeldOutRow(
        name=f"{source}-{i}",
        prompt=f"Head: ({i},{i})\nApple: {source}\n",
        completion=f"Conclusion: The move is: {MOVES[i % 4]}",
        source=source,
        group=f"{source}-game-{i // 2}",
    )
    for source in ("bfs", "dfs")
    for i in range(4)
]


@pytest.fixture(scope="module")
def model() -> TrainedModel:
    """Knows the answers to the BFS rows by heart, and no others."""
    tokens = tiny.tokenizer()
    made = tiny.llama(tokens)
    known = [(row.prompt, row.completion) for row in ROWS if row.source == "bfs"]
    tiny.teach(made, tokens, known, steps=150)
    return TrainedModel(made, tokens, batch_size=3)


@pytest.fixture(scope="module")
def rows(model: TrainedModel) -> list[Any]:
    return list(LanguageTask(ROWS, latency_rows=3).evaluate(model, ROWS))


def test_perplexity_is_that_of_all_completion_tokens(model: TrainedModel, rows: list[Any]) -> None:
    total, tokens = 0.0, 0
    for row in ROWS:
        context = model.tokenizer(row.prompt)["input_ids"]
        ids = model.tokenizer(row.prompt + row.completion + tiny.STOP)["input_ids"]
        with torch.no_grad():
            logits = model.model(input_ids=torch.tensor([ids])).logits[0].double()
        for i in range(len(context), len(ids)):
            total -= float(logits[i - 1].log_softmax(-1)[ids[i]])
            tokens += 1
    found = figures(METRICS, rows)
    assert found["loss"].value == pytest.approx(total / tokens, rel=1e-4)
    assert found["perplexity"].value == pytest.approx(math.exp(total / tokens), rel=1e-4)
    assert sum(row.values["tokens"] for row in rows) == tokens


def test_every_row_is_there_once_with_its_group_and_source(rows: list[Any]) -> None:
    assert sorted(row.item for row in rows) == sorted(row.name for row in ROWS)
    made = {row.item: row for row in rows}
    for asked in ROWS:
        row = made[asked.name]
        assert (row.group, row.source) == (asked.group, asked.source)
        assert row.details["reference"] == asked.completion


def test_answers_known_by_heart_match_exactly(rows: list[Any]) -> None:
    known = [row for row in rows if row.source == "bfs"]
    for row in known:
        assert row.details["answer"] == row.details["reference"]
        assert row.values["exact_match"] == 1
        assert row.values["rouge_l"] == pytest.approx(1)
        assert row.values["bleu"] == pytest.approx(100)
        assert row.values["cut_off"] == 0


def test_corpus_bleu_is_that_of_sacrebleu_with_its_signature(
    model: TrainedModel, rows: list[Any]
) -> None:
    from sacrebleu import corpus_bleu

    found = LanguageTask(ROWS).summary(model, rows)
    answers = [row.details["answer"] for row in rows]
    references = [row.details["reference"] for row in rows]
    expected = corpus_bleu(answers, [references]).score
    assert found["corpus_bleu"]["score"] == pytest.approx(expected)
    assert found["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp")
    assert "eff:yes" in found["signatures"]["sentence_bleu"]
    assert found["per_source"]["bfs"]["corpus_bleu"] == pytest.approx(100)


def test_some_answers_are_timed_alone_and_the_others_in_batches(
    model: TrainedModel, rows: list[Any]
) -> None:
    alone = [row for row in rows if "answer_ms" in row.values]
    batched = [row for row in rows if "batch_share_s" in row.values]
    assert (len(alone), len(batched)) == (3, 5)
    performance = LanguageTask(ROWS).summary(model, rows)["performance"]
    times = sorted(row.values["answer_ms"] for row in alone)
    assert performance["answer_ms_p50"] == pytest.approx(times[1])
    assert times[1] < performance["answer_ms_p95"] <= times[2]
    assert performance["answers_timed"] == 3
    seconds = sum(row.values["batch_share_s"] for row in batched)
    tokens = sum(row.values["answer_tokens"] for row in batched)
    assert performance["tokens_per_s"] == pytest.approx(tokens / seconds)
    assert figures(METRICS, rows)["tokens_per_s"].value == pytest.approx(tokens / seconds)
    assert performance["peak_of"] == "process"
    assert performance["peak_bytes"] > 50 * 1024**2


def test_rows_that_are_done_are_not_evaluated_again(model: TrainedModel) -> None:
    done = frozenset(row.name for row in ROWS[1:])
    task = LanguageTask(ROWS, latency_rows=2)
    assert [row.item for row in task.evaluate(model, ROWS, done)] == [ROWS[0].name]
    assert list(task.evaluate(model, ROWS, frozenset(row.name for row in ROWS))) == []


def test_a_prompt_that_fills_the_context_has_no_likelihood() -> None:
    tokens = tiny.tokenizer()
    model = TrainedModel(tiny.gpt2(tokens, context=12), tokens)
    long = HeldOutRow("long", "Head: (1,1) " * 9, "UP", "bfs", "game")
    [row] = LanguageTask([long]).evaluate(model, [long])
    assert "nll_per_token" not in row.values
    assert row.values["answer_tokens"] == 0


def test_a_model_that_diverged_is_refused() -> None:
    tokens = tiny.tokenizer()
    made = tiny.llama(tokens)
    torch.nn.init.constant_(made.lm_head.weight, float("nan"))
    with pytest.raises(MeasurementError, match="diverged"):
        list(LanguageTask(ROWS).evaluate(TrainedModel(made, tokens), ROWS[:1]))


@pytest.mark.parametrize(
    ("answer", "reference", "same"),
    [
        ("Conclusion: The move is: UP", "The apple is above.\nConclusion: The move is: UP", True),
        ("Conclusion: The move is: UP", "Conclusion: The move is: DOWN", False),
        (" UP\n", "UP", True),
        ("UP", "Conclusion: The move is: UP", False),
        ("", "UP", False),
    ],
)
def test_the_decision_is_what_follows_the_conclusion(
    answer: str, reference: str, same: bool
) -> None:
    assert same_decision(answer, reference) is same


def test_the_last_conclusion_counts() -> None:
    assert decision_of("Conclusion: LEFT\nConclusion: RIGHT ") == "RIGHT"


def test_held_out_rows_are_mixed_and_a_larger_limit_contains_a_smaller_one(tmp_path: Path) -> None:
    path = tmp_path / "test.jsonl"
    lines = [
        {"id": f"{s}-{i}", "prompt": "p", "completion": "c", "source": s, "group": f"{s}-{i // 10}"}
        for s in ("a", "b")
        for i in range(100)
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")
    rows = read_held_out(path)
    assert len(rows) == 200
    assert 10 <= sum(row.source == "a" for row in rows[:40]) <= 30
    path.write_text("\n".join(map(json.dumps, reversed(lines))))
    assert read_held_out(path) == rows


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read"),
        ("", "no rows"),
        ('{"id": "1", "prompt": "p"}\n', "line 1"),
        ("nonsense\n", "line 1"),
        ('{"id": "1", "prompt": "p", "completion": "c"}\n' * 2, "same id"),
    ],
)
def test_a_broken_test_file_is_named(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "test.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=said):
        read_held_out(path)


@pytest.mark.parametrize(
    "options", [{"latency_rows": 0}, {"max_new_tokens": 0}, {"latency_rows": "x"}]
)
def test_options_that_are_no_count_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="at least 1"):
        LanguageTask(ROWS, **options)
