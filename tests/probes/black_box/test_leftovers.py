"""What a command leaves in its own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.black_box.leftovers import Leftovers, in_the_way


@pytest.mark.parametrize("name", ["snapshot.pt", "model_best.pth.tar", "checkpoint-500"])
def test_a_checkpoint_that_a_run_writes_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "weights.pt").write_text("from before")
    leftovers = Leftovers(tmp_path)
    (tmp_path / name).write_text("")
    note = leftovers.note()
    assert name in note and "{run_dir}" in note
    assert "weights.pt" not in note


def test_other_files_and_a_folder_that_is_gone_are_no_matter(tmp_path: Path) -> None:
    leftovers = Leftovers(tmp_path)
    (tmp_path / "log.txt").write_text("")
    assert leftovers.note() == ""
    assert Leftovers(tmp_path / "missing").note() == ""


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("config.yaml", "RuntimeError: expected /home/me/config.yaml to NOT exist."),
        ("out", "FileExistsError: [Errno 17] File exists: 'out'"),
        ("output", "ValueError: Output directory (output) already exists and is not empty."),
    ],
)
def test_what_an_earlier_run_left_is_named_where_it_stops_the_next(name: str, error: str) -> None:
    words = in_the_way({name, "other"}, Path("/home/me"), error)
    assert name in words and "/home/me" in words and "{run_dir}" in words and error in words
    assert "other" not in words


@pytest.mark.parametrize(
    "error",
    [
        "RuntimeError: CUDA out of memory, which happened already",
        "OSError: [Errno 28] No space left on device: 'out/model.bin'",
        "ValueError: Output directory (elsewhere) already exists.",
        "FileNotFoundError: the file '/home/me/out/x' does not exist",
        "RuntimeError: the tensor 'out' was already freed",
    ],
)
def test_an_error_of_another_kind_is_not_blamed_on_it(error: str) -> None:
    assert in_the_way({"out"}, Path("/home/me"), error) == ""


def test_only_what_is_new_counts_as_left(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    leftovers = Leftovers(tmp_path)
    (tmp_path / "out").mkdir()
    assert leftovers.added() == {"out"}
