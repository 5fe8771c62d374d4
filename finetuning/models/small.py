"""A small untrained model with a tokenizer of its own: for trying things out, and for examples.

Everything is made here; nothing is downloaded. Imports transformers.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from probes.errors import InputError
from probes.space import unknown_name

FAMILIES = ("llama", "gpt2")
END, UNKNOWN = "<|end|>", "<|unknown|>"


def make_small_model(
    folder: Path,
    texts: Iterable[str],
    *,
    family: str = "llama",
    layers: int = 2,
    hidden_size: int = 128,
    heads: int = 4,
    positions: int = 1024,
    vocabulary: int = 512,
    seed: int = 0,
) -> Path:
    """Write a model with random weights and a byte-level tokenizer trained on ``texts``.

    Returns the folder. ``vocabulary`` is the most tokens the tokenizer may have.
    """
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = make_tokenizer(texts, vocabulary)
    config = _config(
        family,
        vocab_size=len(tokenizer),
        layers=layers,
        hidden_size=hidden_size,
        heads=heads,
        positions=positions,
        eos=tokenizer.eos_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A byte-level BPE tokenizer trained on ``texts``: it can write anything."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END, UNKNOWN],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, unk_token=UNKNOWN)


def _config(
    family: str,
    *,
    vocab_size: int,
    layers: int,
    hidden_size: int,
    heads: int,
    positions: int,
    eos: int,
) -> Any:
    from transformers import GPT2Config, LlamaConfig

    ends = {"bos_token_id": eos, "eos_token_id": eos}
    if family == "llama":
        return LlamaConfig(
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            intermediate_size=hidden_size * 4,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=heads,
            max_position_embeddings=positions,
            tie_word_embeddings=True,
            **ends,
        )
    if family == "gpt2":
        return GPT2Config(
            vocab_size=vocab_size,
            n_embd=hidden_size,
            n_layer=layers,
            n_head=heads,
            n_positions=positions,
            **ends,
        )
    raise InputError(unknown_name("family", family, FAMILIES))
