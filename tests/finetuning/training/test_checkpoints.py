"""From which checkpoint a run continues: the newest one that is whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from finetuning.training.checkpoints import latest_checkpoint, set_aside_damaged  # noqa: E402

FILES = ("adapter_model.safetensors", "optimizer.pt", "rng_state.pth")


def checkpoint(folder: Path, step: int) -> Path:
    """As the trainer writes one."""
    made = folder / f"checkpoint-{step}"
    made.mkdir(parents=True)
    tensors = {"a": torch.arange(300.0), "b": torch.ones(3, 4)}
    safetensors.save_file(tensors, made / FILES[0], metadata={"format": "pt"})
    for name in FILES[1:]:
        torch.save(tensors, made / name)
    (made / "trainer_state.json").write_text("{}")
    return made


def test_the_newest_is_taken_and_one_that_a_kill_left_is_removed(tmp_path: Path) -> None:
    newest = [checkpoint(tmp_path, step) for step in (9, 20, 100)][-1]
    (tmp_path / "checkpoint-120").mkdir()
    assert set_aside_damaged(tmp_path) == []
    assert latest_checkpoint(tmp_path) == (newest, 100)
    assert not (tmp_path / "checkpoint-120").exists()
    assert latest_checkpoint(tmp_path / "nowhere") is None


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_one_with_a_file_that_was_cut_off_is_set_aside(
    tmp_path: Path, name: str, share: float
) -> None:
    whole, cut = checkpoint(tmp_path, 20), checkpoint(tmp_path, 40)
    os.truncate(cut / name, int((cut / name).stat().st_size * share))
    assert set_aside_damaged(tmp_path) == [(cut / name, tmp_path / "damaged-40")]
    assert (tmp_path / "damaged-40" / "trainer_state.json").is_file()
    assert latest_checkpoint(tmp_path) == (whole, 20)
    assert set_aside_damaged(tmp_path) == []
