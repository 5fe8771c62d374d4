"""Options that would have no effect are refused, where nothing was done yet."""

from __future__ import annotations

import pytest

from app.cli import run

AT = "http://127.0.0.1:9"
REFUSED = [
    (["choose", "visnet", "--to", "slurm", "--json"], "--json"),
    (["check", "plan.yaml", "--json", "--format", "junit"], "junit"),
    (["finetune", "presets", "--set", "training.max_length=512"], "--model"),
    (["finetune", "presets", "--memory-budget", "2GiB"], "--model"),
    (
        [
            "finetune",
            "run",
            "--output",
            "x",
            "--data",
            "a=b",
            "--model",
            "m",
            "--set",
            "preset=research",
        ],
        "--preset",
    ),
    (["tune", "visnet", "--api-key", "x"], "--fleet"),
    (["tune", "visnet", "--fleet", AT, "--database", "sqlite:///x.db"], "--database"),
]


@pytest.mark.parametrize(("arguments", "words"), REFUSED)
def test_it_is_refused(arguments, words, capsys, monkeypatch) -> None:
    monkeypatch.delenv("TONNAGE_KEY", raising=False)
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""


def test_a_key_in_the_environment_is_for_whatever_needs_one(capsys, monkeypatch) -> None:
    monkeypatch.setenv("TONNAGE_KEY", "x")
    assert run(["tune", "no-such-workload"]) == 2
    assert "--api-key" not in capsys.readouterr().err
