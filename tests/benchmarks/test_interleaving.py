"""Processes that take turns: in order, each for so many batches, and their clocks stand still."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import interleaving

PLAYER = """
import json, os, sys, time
from benchmarks.interleaving import in_turns
name, count, log = sys.argv[1], int(sys.argv[2]), sys.argv[3]
file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
began, began_ns = time.perf_counter(), time.perf_counter_ns()
for batch, _ in zip(in_turns(iter(range(1000))), range(count)):
    os.write(file, name.encode())
    if batch == 4 and name == "k":
        os.kill(os.getpid(), 9)
    time.sleep(0.002)
print(json.dumps([time.perf_counter() - began, (time.perf_counter_ns() - began_ns) / 1e9]))
"""


def start(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PLAYER, name, str(count), str(folder / "log")],
        env={
            **os.environ,
            interleaving.VARIABLE: str(folder / "referee"),
            "PYTHONPATH": str(Path.cwd()),
        },
        stdout=subprocess.PIPE,
        text=True,
    )


def runs_of(text: str) -> list[str]:
    """The text in pieces of one letter each."""
    found: list[str] = []
    for letter in text:
        if found and found[-1][0] == letter:
            found[-1] += letter
        else:
            found.append(letter)
    return found


def test_turns_are_of_equal_length_and_who_ends_first_leaves_the_rest_to_the_other(
    tmp_path: Path,
) -> None:
    with interleaving.Referee(tmp_path / "referee", players=2):
        players = [
            start(tmp_path, "a", 2 * interleaving.STEPS),
            start(tmp_path, "b", 5 * interleaving.STEPS),
        ]
    for player in players:
        player.communicate()
    runs = runs_of((tmp_path / "log").read_text())
    assert [len(run) for run in runs[:3]] == [interleaving.STEPS] * 3
    assert "".join(runs).count("a") == 2 * interleaving.STEPS
    assert "".join(runs).count("b") == 5 * interleaving.STEPS


def test_the_clock_stands_still_while_the_other_has_its_turn(tmp_path: Path) -> None:
    with interleaving.Referee(tmp_path / "referee", players=2):
        players = [start(tmp_path, name, 30) for name in "ab"]
    for player in players:
        by_clock_s, truly_s = json.loads(player.communicate()[0])
        assert by_clock_s < truly_s - 10 * 0.002


def test_the_others_go_on_when_one_is_killed(tmp_path: Path) -> None:
    with interleaving.Referee(tmp_path / "referee", players=2):
        killed, other = start(tmp_path, "k", 30), start(tmp_path, "o", 30)
    other.communicate()
    assert (killed.wait(), other.returncode) == (-9, 0)
    assert (tmp_path / "log").read_text().count("o") == 30


def test_a_process_that_never_comes_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interleaving, "PATIENCE_S", 0.1)
    with (
        pytest.raises(TimeoutError, match="never asked"),
        interleaving.Referee(tmp_path / "referee", players=1),
    ):
        pass
