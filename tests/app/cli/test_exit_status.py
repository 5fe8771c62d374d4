"""How a command ends that fails in a way that nobody expected, or is interrupted."""

from __future__ import annotations

import pytest

from app import cli
from app.cli import application


def _ending_in(error: BaseException):
    def command(arguments: list[str], prog_name: str) -> None:
        raise error

    return lambda name: command


def test_an_unexpected_error_is_no_answer_and_is_told_as_a_defect(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(application, "application", _ending_in(OverflowError("too large")))
    assert cli.run(["probe"]) == cli.EXIT_DEFECT == 3
    told = capsys.readouterr().err
    assert "Traceback" in told and "OverflowError: too large" in told
    assert told.splitlines()[-1].startswith("Error: ") and "report" in told


@pytest.mark.parametrize(
    ("arguments", "continues"),
    [(["tune", "x"], True), (["-v", "tune", "x"], True), (["power"], False), (["probe"], False)],
)
def test_only_commands_that_continue_say_so(
    arguments: list[str],
    continues: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(application, "application", _ending_in(SystemExit(130)))
    assert cli.run(arguments) == 130
    assert ("again" in capsys.readouterr().err) is continues
