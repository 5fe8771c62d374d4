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


def test_a_list_has_no_empty_entries() -> None:
    assert listed("8GiB, 16GiB", "--memory-budget") == ["8GiB", "16GiB"]
    assert listed(None, "--memory-budget") == []
    for text in ("8GiB,,16GiB", "8GiB,", ","):
        with pytest.raises(InputError, match="--memory-budget"):
            listed(text, "--memory-budget")
