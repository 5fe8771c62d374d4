"""A run is evaluated once: through kills, larger limits, and with a baseline beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from finetuning import evaluating
from finetuning.evaluating import Evaluated, EvaluationProgress, evaluate
from finetuning.evaluation.folder import EvaluationFolder
from finetuning.evaluation.metrics import Direction, Metric
from finetuning.evaluation.rows import EvaluationRow, read_rows
from finetuning.evaluation.weights import digest
from finetuning.run_folder import RunFolder, RunState
from probes.errors import InputError

ITEMS = [f"word-{i}" for i in range(8)]


class Echo:
    """Answers with the prompt, once for each letter of its own name."""

    def __init__(self, times: int = 1) -> None:
        self.times = times
        self.asked: list[str] = []
        self.batch_size = 16

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int) -> list[str]:
        self.asked += prompts
        return [prompt * self.times for prompt in prompts]

    def nll(self, pairs: Sequence[tuple[str, str]]) -> list[tuple[float, int]]:
        return [(1.0, 1) for _ in pairs]


class Length:
    """A task: how long the answer is."""

    name = "length"
    metrics = (Metric("length", "length", Direction.HIGHER, "", unit="characters"),)

    def items(self) -> list[str]:
        return ITEMS

    def evaluate(
        self, model: Any, items: Sequence[str], done: frozenset[str] = frozenset()
    ) -> Iterator[EvaluationRow]:
        for item in items:
            if item not in done:
                [answer] = model.generate([item], max_new_tokens=4)
                values = {"length": float(len(answer))}
                yield EvaluationRow(self.name, item, item, "words", values, {"answer": answer})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


def evaluated(run: Path, model: Echo, **options: Any) -> Evaluated:
    return evaluate(run, [Length()], load=lambda *_: model, **options)  # type: ignore[arg-type, return-value]


def test_rows_and_summary_are_written(run: Path) -> None:
    found = evaluated(run, Echo())
    rows = read_rows(run / "evaluation" / "length" / "rows.jsonl")
    assert [row.item for row in rows] == ITEMS
    summary = json.loads((run / "evaluation" / "length" / "summary.json").read_text())
    assert summary == found.run["length"]
    assert summary["n"] == 8
    assert summary["figures"]["length"]["value"] == 6


def test_the_rows_of_a_task_can_have_another_name_than_its_own(run: Path) -> None:
    spec = f"{__file__}:Length"
    found = evaluate(run, [spec], names={spec: "mine"}, load=lambda *_: Echo())  # type: ignore[arg-type, return-value]
    assert list(found.run) == ["mine"]
    assert {row.task for row in read_rows(run / "evaluation" / "mine" / "rows.jsonl")} == {"mine"}


def test_a_second_evaluation_evaluates_nothing(run: Path) -> None:
    evaluated(run, Echo())
    again = Echo()
    assert evaluated(run, again).run["length"]["n"] == 8
    assert again.asked == []


def test_a_larger_limit_evaluates_only_what_is_missing(run: Path) -> None:
    assert evaluated(run, Echo(), limit=3).run["length"]["n"] == 3
    model = Echo()
    assert evaluated(run, model, limit=5).run["length"]["n"] == 5
    assert model.asked == ITEMS[3:5]
    assert evaluated(run, model, limit=2).run["length"]["n"] == 2
    assert model.asked == ITEMS[3:5]


def test_a_baseline_is_evaluated_on_the_same_items(run: Path) -> None:
    models = {None: Echo(), "base": Echo(2)}
    found = evaluate(
        run,
        [Length()],
        baseline="base",
        load=lambda folder, other, device: models[other],  # type: ignore[arg-type, index, return-value]
    )
    assert found.run["length"]["figures"]["length"]["value"] == 6
    assert found.baseline["length"]["figures"]["length"]["value"] == 12
    rows = read_rows(run / "baseline" / "evaluation" / "length" / "rows.jsonl")
    assert [row.item for row in rows] == ITEMS


def test_other_weights_are_evaluated_again_and_the_old_rows_set_aside(run: Path) -> None:
    evaluated(run, Echo())
    (run / "model" / "adapter_model.safetensors").write_bytes(b"WEIGHTS")
    assert evaluated(run, Echo(2)).run["length"]["figures"]["length"]["value"] == 12
    folder = run / "evaluation" / "length"
    assert len(read_rows(folder / "rows.jsonl")) == 8
    assert {row.values["length"] for row in read_rows(folder / "rows.previous.jsonl")} == {6}


def test_a_line_that_was_cut_off_is_removed_and_its_item_evaluated(run: Path) -> None:
    evaluated(run, Echo())
    path = run / "evaluation" / "length" / "rows.jsonl"
    content = path.read_bytes()
    for cut in (1, 20, len(content.splitlines()[-1])):
        path.write_bytes(content[:-cut])
        model = Echo()
        evaluated(run, model)
        assert model.asked == ITEMS[-1:]
        assert path.read_bytes() == content


def test_a_last_line_of_zeros_is_removed(run: Path) -> None:
    """Some file systems leave zeros where a write did not arrive."""
    evaluated(run, Echo())
    path = run / "evaluation" / "length" / "rows.jsonl"
    content = path.read_bytes()
    path.write_bytes(content + b"\0" * 30 + b"\n")
    evaluated(run, Echo())
    assert path.read_bytes() == content


def test_progress_is_reported_from_where_it_resumes(run: Path) -> None:
    evaluated(run, Echo(), limit=3)
    seen: list[EvaluationProgress] = []
    evaluated(run, Echo(), on_progress=seen.append)
    assert [one.done for one in seen] == [3, 4, 5, 6, 7, 8]
    assert {(one.model, one.task, one.total) for one in seen} == {("run", "length", 8)}
    assert seen[0].left_s is None
    assert seen[-1].left_s == 0


KILLED = """
    import sys
    from finetuning.evaluating import evaluate
    from tests.finetuning.evaluation.test_evaluate import Echo, Length

    class Slow(Echo):
        def generate(self, prompts, *, max_new_tokens):
            if len(self.asked) == 3:
                print("three are done", flush=True)
                sys.stdin.read()  # until it is killed
            return super().generate(prompts, max_new_tokens=max_new_tokens)

    evaluate(sys.argv[1], [Length()], load=lambda *_: Slow())
"""


def test_after_kill_9_nothing_is_evaluated_twice(run: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(run)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"three are done\n"
    with pytest.raises(InputError, match="Another process"):
        evaluated(run, Echo())
    process.send_signal(signal.SIGKILL)
    process.communicate()
    model = Echo()
    assert evaluated(run, model).run["length"]["n"] == 8
    assert model.asked == ITEMS[3:]
    rows = read_rows(run / "evaluation" / "length" / "rows.jsonl")
    assert [row.item for row in rows] == ITEMS


@pytest.mark.parametrize(
    ("tasks", "options", "said"),
    [
        (["snak"], {}, "'snake'"),
        (["snake"], {"options": {"snak": {}}}, "not evaluated"),
        (["snake", "snake"], {}, "twice"),
        (["snake"], {"limit": 0}, "limit=0"),
        (["language"], {}, "held out"),
        (["language"], {"options": {"language": {"games": 3}}}, "language.* games.*latency_rows"),
        (["snake"], {"options": {"snake": {"gamez": 3}}}, "snake.* gamez.*mean games"),
    ],
)
def test_what_cannot_be_evaluated_is_said_before_a_model_is_loaded(
    run: Path, tasks: list[str], options: dict[str, Any], said: str
) -> None:
    def load(*_: Any) -> Any:
        raise AssertionError("a model was loaded")

    with pytest.raises(InputError, match=said):
        evaluate(run, tasks, load=load, **options)


def test_a_run_without_a_model_is_told_as_that_before_its_tasks(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with pytest.raises(InputError, match="not the folder of a fine-tuning run"):
        evaluate(tmp_path)
    folder.settings.touch()
    for facts, words in (({}, "finetune resume"), ({"refused": True}, "finetune run")):
        folder.write_state(RunState.FAILED, **facts)
        with pytest.raises(InputError, match=f"no trained model yet.*{words}"):
            evaluate(tmp_path, ["language"])


def test_a_missing_run_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run folder"):
        evaluate(tmp_path / "nowhere")


def test_a_folder_without_rows_has_none(tmp_path: Path) -> None:
    assert EvaluationFolder(tmp_path).rows() == []


def test_a_digest_tells_weights_apart_and_not_their_place(tmp_path: Path) -> None:
    for name, middle in (("a", 0), ("b", 1), ("c", 0)):
        (tmp_path / name).mkdir()
        content = bytearray(6 << 20)
        content[:: 1 << 15] = bytes([middle]) * len(content[:: 1 << 15])
        (tmp_path / name / "model.safetensors").write_bytes(content)
    a, b, c = (digest(tmp_path / name) for name in "abc")
    assert a == c
    assert a != b


OWN_TASK = """
from tests.finetuning.evaluation.test_evaluate import Length
"""


class Told:
    """The worker's channel, as far as the job uses it."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    def progress(self, phase: str, step: int, of: int, *, always: bool, **details: Any) -> None:
        self.said.append({"phase": phase, "step": step, "of": of, **details})


def test_the_job_of_the_worker_takes_and_returns_plain_data(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "finetuning.yaml").touch()
    monkeypatch.setattr(evaluating, "_load", lambda *_: Echo())
    (tmp_path / "own_task.py").write_text(OWN_TASK)
    spec, told = f"{tmp_path / 'own_task.py'}:Length", Told()
    arguments = {"output": str(run), "tasks": [spec], "baseline": "base", "limit": 2}
    found = evaluating.evaluate_job(arguments, told)  # type: ignore[arg-type]
    assert json.loads(json.dumps(found)) == found
    assert found["run"]["length"]["n"] == found["baseline"]["length"]["n"] == 2
    assert [(one["model"], one["step"], one["of"]) for one in told.said] == [
        (model, step, 2) for model in ("run", "baseline") for step in (0, 1, 2)
    ]
