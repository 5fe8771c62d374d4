"""What is typed for an option: empty values and lists with empty entries."""

from __future__ import annotations

import pytest

from app.cli import run
from app.cli.given import listed
from probes.errors import InputError


@pytest.mark.parametrize(
    "arguments",
    [
        ["tune", "transformer", "--memory-budget", ""],
        ["tune", "transformer", "--memory-budget="],
        ["tune", "transformer", "--python", " "],
        ["tune", "transformer", "--database", ""],
        ["tune", "transformer", "--join", ""],
        ["tune", "transformer", "--set", "layers=2", "--set", ""],
        ["tune", "--command", "python train.py", "--step", ""],
        ["recommend", "--budget", ""],
        ["db", "export", "-", "--database", ""],
        ["fleet", "join", "--token-file", ""],
        ["export", "--output", ""],
        ["tune", "transformer", "--wait", "nan"],
    ],
)
def test_an_empty_value_is_wrong_input_of_that_option(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    told = capsys.readouterr()
    option = next(word for word in reversed(arguments) if word.startswith("--")).rstrip("=")
    assert option in told.err and told.out == ""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["probe", "x", "--batch-size", "x"], "a whole number, not x"),
        (["probe", "x", "--batch-size", str(2**40)], "at most 2147483648"),
        (["tune", "x", "--headroom", "0.9"], "at most 0.5"),
        (["tune", "x", "--sampler", "gues"], "'gues' is not one of 'predictive'"),
    ],
)
def test_a_wrong_value_is_told_in_plain_words(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    told = capsys.readouterr().err
    assert arguments[-2] in told and expected in told
    assert "Input should" not in told and "Value error" not in told


def test_a_list_has_no_empty_entries() -> None:
    assert listed("8GiB, 16GiB", "--memory-budget") == ["8GiB", "16GiB"]
    assert listed(None, "--memory-budget") == []
    for text in ("8GiB,,16GiB", "8GiB,", ","):
        with pytest.raises(InputError, match="--memory-budget"):
            listed(text, "--memory-budget")
