"""A small GPT-2 built from its configuration, trained by transformers' Trainer as its examples do:
a bar on stderr, a dictionary of logs each ten steps, evaluations and checkpoints between."""

from __future__ import annotations

import argparse
import tempfile

import torch
from torch.utils.data import Dataset
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainingArguments

parser = argparse.ArgumentParser()
parser.add_argument("--per_device_train_batch_size", type=int, default=8)
parser.add_argument("--max_steps", type=int, default=100_000)
args = parser.parse_args()


class Tokens(Dataset):
    def __init__(self, count: int) -> None:
        self.rows = torch.randint(0, 1_000, (count, 64))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


model = GPT2LMHeadModel(
    GPT2Config(vocab_size=1_000, n_positions=64, n_embd=96, n_layer=2, n_head=4)
)
with tempfile.TemporaryDirectory() as folder:
    Trainer(
        model,
        TrainingArguments(
            folder,
            per_device_train_batch_size=args.per_device_train_batch_size,
            per_device_eval_batch_size=8,
            max_steps=args.max_steps,
            logging_steps=10,
            eval_strategy="steps",
            eval_steps=50,
            save_steps=50,
            save_total_limit=1,
            report_to=[],
            use_cpu=True,
        ),
        train_dataset=Tokens(20_000),
        eval_dataset=Tokens(64),
    ).train()
