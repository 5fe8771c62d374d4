"""TRL's trainer with its checkpoints apart: reading and writing them is the host's business.

A checkpoint is written and read through the host's memory. Where the device is the host itself and
its memory is limited, that must neither fail at the limit nor look like the peak of a step.
Imports TRL.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from trl import SFTTrainer

HostMemory = Callable[[], AbstractContextManager[None]]
"""``Backend.host_memory`` of the device that trains."""


class CheckpointingTrainer(SFTTrainer):  # type: ignore[misc]
    """``SFTTrainer``; ``host_memory`` surrounds whatever reads or writes a checkpoint."""

    def __init__(self, *args: Any, host_memory: HostMemory = nullcontext, **rest: Any) -> None:
        self.host_memory = host_memory
        super().__init__(*args, **rest)

    def _save_checkpoint(self, *args: Any, **rest: Any) -> Any:
        with self.host_memory():
            return super()._save_checkpoint(*args, **rest)

    def _load_from_checkpoint(self, *args: Any, **rest: Any) -> Any:
        with self.host_memory():
            return super()._load_from_checkpoint(*args, **rest)

    def _load_optimizer_and_scheduler(self, *args: Any, **rest: Any) -> Any:
        with self.host_memory():
            return super()._load_optimizer_and_scheduler(*args, **rest)

    def _load_best_model(self, *args: Any, **rest: Any) -> Any:
        with self.host_memory():
            return super()._load_best_model(*args, **rest)
