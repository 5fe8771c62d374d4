"""A user's file: training with a Trainer of transformers, made a workload."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from texts import SPACE, TEXTS, Classifier, pad
from transformers import Trainer, TrainingArguments

from probes.adapters import from_trainer


def make_trainer(config: dict[str, Any]) -> Trainer:
    arguments = TrainingArguments(
        output_dir=str(Path(tempfile.gettempdir()) / "tonnage-adapters"),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        bf16=True,
        learning_rate=0.01,
        weight_decay=0.1,
        optim="adamw_torch",
        use_cpu=True,
        report_to=[],
    )
    return Trainer(
        model=Classifier(config["width"]), args=arguments, data_collator=pad, train_dataset=TEXTS
    )


workload = from_trainer(make_trainer, SPACE)
