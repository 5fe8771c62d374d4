"""Checkpoints are read and written in the host's memory, outside the device's limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from finetuning.settings.presets import preset
from finetuning.training.arguments import Batches
from finetuning.training.trainer import build_trainer


class Host:
    """Stands in for a backend: counts the entries, and says whether one is inside."""

    def __init__(self) -> None:
        self.entered = 0
        self.inside = False

    @contextmanager
    def memory(self) -> Iterator[None]:
        self.entered, self.inside = self.entered + 1, True
        try:
            yield
        finally:
            self.inside = False


def test_saving_reloading_the_best_and_resuming_are_the_hosts(
    models: dict[str, Path], data: Path, tmp_path: Path
) -> None:
    changes = {"max_steps": 2, "eval_steps": 1, "save_steps": 1}
    settings = preset("full_small").settings(str(models["llama"]), changes)
    host = Host()

    def trainer() -> Any:
        return build_trainer(
            settings, data, tmp_path, Batches(4, 1), "cpu", host_memory=host.memory
        )

    first = trainer()
    first.train()
    after_training = host.entered
    assert after_training >= 3  # two checkpoints and the best model
    assert not host.inside
    resumed = trainer()
    resumed.train(resume_from_checkpoint=str(tmp_path / "checkpoint-1"))
    assert host.entered - after_training >= 4  # weights, optimizer, a checkpoint, the best model
    for ours, theirs in zip(first.model.parameters(), resumed.model.parameters()):
        assert torch.allclose(ours, theirs, atol=1e-6)
