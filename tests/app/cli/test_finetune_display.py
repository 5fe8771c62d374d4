"""What a fine-tuning says where there is no terminal to show a spinner."""

from __future__ import annotations

import pytest

from app.cli.finetuning.display import FineTuningDisplay
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


def test_a_note_of_a_worker_is_said_once(
    display: FineTuningDisplay, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        display.worker({"phase": "disturbed", "note": "It is measured again."})
    assert capsys.readouterr().err.splitlines() == ["It is measured again."]
