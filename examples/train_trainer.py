"""Trains a small language model on Python's own documentation, with a Trainer of transformers.

    python train_trainer.py training_args.yaml --layers 2 --hidden-size 64

The file holds TrainingArguments, as ``tonnage export latest --to transformers`` writes them.
"""

import argparse
import tempfile
from pydoc_data.topics import topics

import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    HfArgumentParser,
    Trainer,
    TrainingArguments,
)

LONGEST = 128
PADDING = 256  # a token beyond the bytes


def texts():
    """Paragraphs of the help topics, as bytes, up to 128 of them each."""
    paragraphs = [p for text in topics.values() for p in text.split("\n\n") if len(p) > 8]
    return [{"input_ids": list(p.encode()[:LONGEST])} for p in paragraphs]


def pad(samples):
    """A batch as long as its longest paragraph; padding is neither read nor learnt."""
    rows = [sample["input_ids"] for sample in samples]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [PADDING] * (longest - len(row)) for row in rows])
    padded = ids == PADDING
    return {
        "input_ids": ids,
        "attention_mask": (~padded).long(),
        "labels": ids.masked_fill(padded, -100),
    }


def make_trainer(layers, hidden_size, arguments):
    config = GPT2Config(
        vocab_size=257,
        n_positions=LONGEST,
        n_layer=layers,
        n_embd=hidden_size,
        n_head=hidden_size // 16,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,
    )
    return Trainer(
        model=GPT2LMHeadModel(config),
        args=arguments,
        data_collator=pad,
        train_dataset=texts(),
    )


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config", help="TrainingArguments, as YAML")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument("--max-steps", type=int, default=20)
    given = parser.parse_args()

    (arguments,) = HfArgumentParser(TrainingArguments).parse_yaml_file(given.config)
    arguments.output_dir = tempfile.mkdtemp()
    arguments.max_steps = given.max_steps
    arguments.logging_steps = 5
    arguments.report_to = []
    arguments.save_strategy = "no"
    make_trainer(given.layers, given.hidden_size, arguments).train()


if __name__ == "__main__":
    main()
