"""A user's file: the same tiny text classifier trained in three ways, each made a workload."""

from __future__ import annotations

from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from probes.adapters import from_dataloader, from_lightning, from_trainer

LENGTHS = [3 + (7 * k) % 20 for k in range(200)]
LENGTHS[137] = 60
TEXTS = [{"tokens": [1 + length % 2] * length, "labels": length % 2} for length in LENGTHS]
SPACE = {"width": [8, 16]}


def pad(samples: list[dict[str, Any]]) -> dict[str, Tensor]:
    longest = max(len(sample["tokens"]) for sample in samples)
    rows = [sample["tokens"] + [0] * (longest - len(sample["tokens"])) for sample in samples]
    return {"tokens": torch.tensor(rows), "labels": torch.tensor([s["labels"] for s in samples])}


class Classifier(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(64, width)
        self.head = nn.Linear(width, 2)

    def forward(self, tokens: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.embedding(tokens).mean(1))
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def make_trainer(config: dict[str, Any]) -> Trainer:
    arguments = TrainingArguments(
        output_dir="unused",
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


class Module(pl.LightningModule):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = Classifier(width)

    def training_step(self, batch: dict[str, Tensor], index: int) -> Tensor:
        loss = self.net(**batch)["loss"]
        self.log("loss", loss)
        return loss

    def validation_step(self, batch: dict[str, Tensor], index: int) -> None:
        print("validated", tuple(batch["tokens"].shape))

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.SGD(self.parameters(), lr=0.1, momentum=0.9)
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]


class Data(pl.LightningDataModule):
    def setup(self, stage: str) -> None:
        self.texts = TEXTS

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.texts, batch_size=4, shuffle=True, collate_fn=pad)


trainer = from_trainer(make_trainer, SPACE)
lightning = from_lightning(lambda config: (Module(config["width"]), Data()), SPACE)
loader = from_dataloader(
    DataLoader(TEXTS, batch_size=4, collate_fn=pad, num_workers=1),
    model=lambda config: Classifier(config["width"]),
    step=lambda model, batch: model(**batch)["loss"],
    space=SPACE,
)


def sized(count: int = 200) -> Any:
    """A function that makes a workload takes options."""
    return from_dataloader(
        DataLoader(TEXTS[:count], collate_fn=pad),
        model=lambda config: Classifier(config["width"]),
        step=lambda model, batch: model(**batch)["loss"],
        space=SPACE,
    )
