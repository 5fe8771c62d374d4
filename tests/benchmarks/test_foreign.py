"""The logic of the benchmark on foreign scripts: budgets, bisection, and who is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.foreign.cases import CASES, SCRIPTS, Case
from benchmarks.foreign.contenders import BISECTION, OURS, as_search, bisect, floor_samples
from benchmarks.foreign.report import SEARCHES, document, rows, summary
from benchmarks.foreign.run import planned
from benchmarks.max_batch.records import Search, Survival, Truth, WorkFile
from probes.black_box.command import command_of
from probes.black_box.steps import OutputSteps

CASE = CASES[0]

LINES = {
    "char_gpt": ("iter 10: loss 4.47, time 46.30ms, mfu -100.00%", 10),
    "digits": ("Train Epoch: 1 [640/6000 (11%)]\tLoss: 2.3", 640),
    "word_lstm": (
        "| epoch   1 |   200/  714 batches | lr 20.00 | ms/batch  5.61 | loss  7.66",
        200,
    ),
    "image_classifier": ("Epoch: [0][ 6/63]\tTime  0.1 ( 0.1)\tLoss 4.6 (4.6)", 6),
    "gan": ("[0/25][50/125] Loss_D: 1.3860 Loss_G: 0.7", 50),
    "hf_trainer": ("  0%|          | 12/100000 [00:03<4:26:40,  6.25it/s]", 12),
    "lightning": ("Epoch 0:  24%|██▍       | 30/125 [00:01<00:04, train_loss=0.5]", 30),
    "text_classifier": ("  0%|          | 12/375000 [00:03<4:26:40,  6.25it/s]", 12),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_each_script_is_there_and_its_steps_are_described(case: Case) -> None:
    assert (SCRIPTS / case.script).is_file()
    option = case.option.partition("{")[0].strip(" =").lstrip("-")
    assert option in (SCRIPTS / case.script).read_text()
    command = command_of(case.workload)
    line, number = LINES[case.name]
    (seen,) = OutputSteps(command.step).read(line.encode() + b"\n", 0.0)
    assert seen.number == number


def test_every_search_has_a_budget_of_its_own() -> None:
    wanted = planned(CASES, 64)
    assert len({case.identity for case in wanted}) == 64
    assert all(case.static_mib < case.budget_mib for case in wanted)
    assert wanted[: len(CASES)] == list(CASES)
    assert planned([], 40) == []


@pytest.mark.parametrize("edge", [0, 1, 7, 100, 128])
def test_bisection_ends_at_the_edge(edge: int) -> None:
    tried: list[int] = []

    def passes(batch_size: int) -> bool:
        tried.append(batch_size)
        return batch_size <= edge

    assert bisect(passes, 65_536) == edge
    assert len(tried) == len(set(tried))


def test_bisection_ends_where_the_data_do() -> None:
    assert bisect(lambda batch_size: True, 100) <= 127


def run(batch_size: int, verdict: str, steps: int) -> dict[str, Any]:
    return {"batch_size": batch_size, "verdict": verdict, "steps": steps, "wall_s": 2.0}


def answer(max_batch: int | None = 98, verdict: str = "stable") -> dict[str, Any]:
    passing, failing = run(98, "stable", 50), run(101, "oom", 1)
    return {
        "max_batch": max_batch,
        "evidence": {"highest_passing": passing, "lowest_failing": failing},
        "runs": [run(8, "stable", 10), failing, run(99, verdict, 20), passing],
        "steps_run": 81,
        "samples_processed": 6000,
        "binding": "memory",
    }


def test_a_floor_is_the_confirmation_and_one_failing_step() -> None:
    assert floor_samples(answer()) == 98 * 50 + 101
    assert floor_samples({}) == 0


@pytest.fixture
def work(tmp_path: Path) -> WorkFile:
    work = WorkFile(tmp_path / "work.jsonl")
    work.add(Truth(CASE.identity, 100, {"100": "stable", "101": "oom"}, 60.0))
    work.add(Survival(CASE.identity, 100, True, ""))
    return work


def test_a_search_beside_the_truth(work: WorkFile) -> None:
    work.add(as_search(CASE, answer(), 20.0, ""))
    work.add(Survival(CASE.identity, 98, True, ""))
    work.add(Search(CASE.identity, BISECTION, "pinned", 100, 40, 900, 9.0, "",
                    {"probes": 14, "device_s": 60.0, "leaks": 0}))  # fmt: skip
    ours, theirs = rows(WorkFile(work.path), [CASE])
    assert (ours.method, ours.right, ours.share, ours.leaks) == (OURS, True, 0.98, 0)
    assert (ours.probes, ours.device_s, ours.of_floor) == (4, 8.0, round(6000 / 5001, 2))
    assert (theirs.right, theirs.probes) == (True, 14)


def test_a_leak_and_an_answer_that_does_not_last_are_counted(work: WorkFile) -> None:
    work.add(as_search(CASE, answer(verdict="leak"), 20.0, ""))
    work.add(Survival(CASE.identity, 98, False, "oom"))
    figures = summary(rows(work, [CASE]))
    assert (figures["false_leaks"], figures["false_safe"], figures["right"]) == (1, 1, 0)
    assert not any(figures["goals"][name] for name in ("right", "no_false_leak", "no_false_safe"))


def test_an_answer_that_has_not_been_tried_is_not_judged(work: WorkFile) -> None:
    work.add(as_search(CASE, answer(), 20.0, ""))
    figures = summary(rows(work, [CASE]))
    assert figures["judged"] == 0
    assert not figures["goals"]["right"]


def test_no_answer_is_wrong(work: WorkFile) -> None:
    work.add(as_search(CASE, {}, 20.0, "no step was recognised"))
    (row,) = rows(work, [CASE])
    assert row.right is False
    assert "no step" in row.crash


def test_goals_need_all_searches(tmp_path: Path) -> None:
    work = WorkFile(tmp_path / "work.jsonl")
    wanted = planned(CASES, SEARCHES)
    for number, case in enumerate(wanted):
        if number < len(CASES):
            work.add(Truth(case.identity, 100, {}, 1.0))
        work.add(as_search(case, answer(), 20.0, ""))
        work.add(Survival(case.identity, 98, True, ""))
    data, markdown = document(work, wanted)
    assert all(data["summary"]["goals"].values())
    assert f"0 in {SEARCHES} searches" in markdown
    assert not summary(rows(work, wanted[:-1]))["goals"]["no_false_leak"]
