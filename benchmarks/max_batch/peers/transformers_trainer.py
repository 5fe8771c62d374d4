"""transformers' ``Trainer`` with ``auto_find_batch_size=True``, for three steps."""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from benchmarks.max_batch.peers import STARTING_BATCH, STEPS_PER_TRIAL
from benchmarks.max_batch.peers.trainee import Trainee


def auto_find(trainee: Trainee) -> int:
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder,
            use_cpu=trainee.device == "cpu",
            auto_find_batch_size=True,
            per_device_train_batch_size=STARTING_BATCH,
            max_steps=STEPS_PER_TRIAL,
            max_grad_norm=0.0,  # clipping is not part of the workload
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
        )
        trainer = _WorkloadTrainer(trainee, arguments)
        trainer.train()
        return int(trainer.state.train_batch_size)


class _WorkloadTrainer(Trainer):  # type: ignore[misc]
    """The workload's batches, loss and optimizer, through the methods meant to be overridden."""

    def __init__(self, trainee: Trainee, arguments: TrainingArguments) -> None:
        self.trainee = trainee
        super().__init__(model=trainee.model(), args=arguments)

    def get_train_dataloader(self) -> DataLoader[Any]:
        return self.trainee.loader(self._train_batch_size, lambda batch: {"batch": batch})

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        if self.optimizer is None:
            self.optimizer = self.trainee.optimizer(self.model if model is None else model)
        return self.optimizer

    def compute_loss(
        self, model: nn.Module, inputs: dict[str, Any], return_outputs: bool = False, **_: Any
    ) -> torch.Tensor:
        loss: torch.Tensor = self.trainee.workload.loss(model, inputs["batch"])
        return loss
