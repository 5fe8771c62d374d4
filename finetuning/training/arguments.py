"""Settings as TRL's trainer takes them. Nothing else sets an optimizer, a schedule or a step count.

Standard library only; ``SFTConfig`` is built from it where training runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetuning.settings.model import FineTuningSettings


@dataclass(frozen=True)
class Batches:
    """How rows are put together on the device."""

    micro_batch: int
    """Rows per forward pass."""
    accumulation: int
    """Micro-batches per optimizer step."""

    @property
    def effective(self) -> int:
        """Rows per optimizer step."""
        return self.micro_batch * self.accumulation


@dataclass(frozen=True)
class Course:
    """How long a run is, in optimizer steps."""

    steps: int
    steps_per_epoch: int


def course(settings: FineTuningSettings, sequences: int, batches: Batches) -> Course:
    """Length of a run over ``sequences`` training sequences, as ``Trainer`` counts it."""
    micro_batches = math.ceil(sequences / batches.micro_batch)
    per_epoch = max(1, math.ceil(micro_batches / batches.accumulation))
    training = settings.training
    steps = training.max_steps
    if steps < 0:
        steps = math.ceil(training.epochs * per_epoch)
    return Course(max(1, steps), per_epoch)


def trl_arguments(settings: FineTuningSettings) -> dict[str, Any]:
    """The fields of TRL's ``SFTConfig`` that settings decide, whatever the device and the data."""
    training, reporting = settings.training, settings.reporting
    return {
        "num_train_epochs": training.epochs,
        "max_steps": training.max_steps,
        "learning_rate": training.learning_rate,
        "lr_scheduler_type": training.scheduler,
        "max_length": training.max_length,
        "packing": training.packing,
        "completion_only_loss": True,
        "gradient_checkpointing": training.gradient_checkpointing,
        "gradient_checkpointing_kwargs": (
            {"use_reentrant": False} if training.gradient_checkpointing else None
        ),
        "optim": training.optimizer,
        "weight_decay": training.weight_decay,
        "adam_beta1": training.adam_beta1,
        "adam_beta2": training.adam_beta2,
        "adam_epsilon": training.adam_epsilon,
        "max_grad_norm": training.max_grad_norm,
        "seed": training.seed,
        "data_seed": training.seed,
        "logging_steps": reporting.logging_steps,
        "eval_steps": reporting.eval_steps,
        "save_steps": reporting.save_steps,
        "save_total_limit": reporting.save_total_limit,
        "report_to": list(reporting.report_to) or "none",
    }


def run_arguments(
    settings: FineTuningSettings,
    output: Path,
    batches: Batches,
    *,
    precision: str,
    on_cpu: bool,
    length: Course,
    evaluates: bool,
) -> dict[str, Any]:
    """All of ``SFTConfig`` for one run: ``trl_arguments``, the device, and the data's length.

    A run shorter than the reporting intervals is still evaluated and saved at its end.
    """
    asked = trl_arguments(settings)
    eval_steps = min(asked["eval_steps"], length.steps)
    save_steps = max(1, min(asked["save_steps"], length.steps) // eval_steps) * eval_steps
    eval_batch = settings.training.eval_batch_size
    warmup_steps = math.ceil(settings.training.warmup_ratio * length.steps)
    return {
        **asked,
        "output_dir": str(output),
        "per_device_train_batch_size": batches.micro_batch,
        "per_device_eval_batch_size": (
            batches.micro_batch if isinstance(eval_batch, str) else eval_batch
        ),
        "gradient_accumulation_steps": batches.accumulation,
        "warmup_steps": warmup_steps,
        "bf16": precision == "bf16",
        "fp16": precision == "fp16",
        "use_cpu": on_cpu,
        "dataloader_pin_memory": not on_cpu,
        "logging_steps": min(asked["logging_steps"], length.steps),
        "logging_first_step": True,
        "eval_strategy": "steps" if evaluates else "no",
        "eval_steps": eval_steps if evaluates else None,
        "prediction_loss_only": True,
        "save_strategy": "steps",
        "save_steps": save_steps,
        "load_best_model_at_end": evaluates,
        "metric_for_best_model": settings.reporting.best_metric if evaluates else None,
        "greater_is_better": False if evaluates else None,
        "disable_tqdm": True,
    }
