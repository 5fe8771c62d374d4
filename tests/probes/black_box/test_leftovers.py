"""What a command leaves in its own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.black_box.leftovers import Leftovers


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
