"""What a fine-tuning says where there is no terminal to show a spinner."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.finetuning.display import FineTuningDisplay, outcome_lines
from finetuning.run import Outcome
from finetuning.run_folder import RunState
from probes.max_batch import Ask
from probes.measurement import Purpose


@pytest.fixture
def display() -> FineTuningDisplay:
    made = FineTuningDisplay()
    made.live = False
    return made


@pytest.mark.parametrize("phase", ["preparing", "fitting", "training"])
def test_a_part_that_takes_long_is_announced_once(
    display: FineTuningDisplay, capsys: pytest.CaptureFixture[str], phase: str
) -> None:
    for _ in range(2):
        display.event({"phase": phase})
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_full_run_is_announced_and_a_short_one_is_not(
    display: FineTuningDisplay, capsys: pytest.CaptureFixture[str]
) -> None:
    display.asked(Ask(7, Purpose.BRACKET))
    display.asked(Ask(8, Purpose.CONFIRM))
    (line,) = capsys.readouterr().err.splitlines()
    assert "8 rows" in line


def test_a_run_that_was_stopped_says_how_to_continue(tmp_path: Path) -> None:
    stopped = Outcome(RunState.STOPPED, tmp_path, "Stopped after step 3, with a checkpoint.")
    assert outcome_lines(stopped) == [
        stopped.reason,
        f"Continue with: tonnage finetune resume {tmp_path}",
    ]


@pytest.mark.parametrize(("step", "early"), [(50, True), (200, False)])
def test_early_stopping_is_told(tmp_path: Path, step: int, early: bool) -> None:
    done = Outcome(RunState.DONE, tmp_path, facts={"step": step, "steps": 200})
    assert ("50 of 200" in outcome_lines(done)[0]) is early
    assert any("Early stopping" in line for line in outcome_lines(done)) is early


def test_a_note_of_a_worker_is_said_once(
    display: FineTuningDisplay, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        display.worker({"phase": "disturbed", "note": "It is measured again."})
    assert capsys.readouterr().err.splitlines() == ["It is measured again."]
