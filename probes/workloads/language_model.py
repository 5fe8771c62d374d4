"""Causal language models built by ``transformers`` from a config alone: nothing is downloaded.

The config is a family with chosen dimensions, or a local ``config.json``. Weights are random,
which changes neither the memory nor the time of a training step. Importable without
``transformers``. Runs in the user's interpreter: Python 3.10 syntax.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from probes.errors import InputError
from probes.formatting import first_line
from probes.levers import UnsupportedError
from probes.workloads.chunked_loss import chunked_loss
from probes.workloads.extras import Extra

EXTRA = Extra("causal-lm", "llm", ("transformers",))
"""``peft`` belongs to the extra too, but is only needed where a config asks for an adapter."""

FAMILIES = ("llama", "gpt2", "qwen2", "mistral")
"""Architectures that can be named; every other one through its ``config.json``."""

HEAD_SIZE = 64
"""Channels of an attention head. Widths that it does not divide get smaller heads."""
SMALLEST_HEAD = 16


def family_config(
    family: str, *, layers: int, hidden_size: int, seq_length: int, vocab_size: int
) -> Any:
    """A ``transformers`` config of ``family``, everything else as the family has it.

    Heads have 64 channels, or the largest power of two that divides ``hidden_size``; there are as
    many key and value heads as heads. The gated families' inner width is 8/3 of the width, in steps
    of 64; GPT-2's is its own 4. Raises ``InputError`` for a width that makes no heads.
    """
    head = math.gcd(hidden_size, HEAD_SIZE)
    if head < SMALLEST_HEAD:
        raise InputError(
            f"hidden_size={hidden_size}: attention heads split it into equal parts, so give a "
            f"multiple of {SMALLEST_HEAD}, such as "
            f"{-(-hidden_size // SMALLEST_HEAD) * SMALLEST_HEAD}."
        )
    dimensions: dict[str, Any] = {
        "num_hidden_layers": layers,
        "hidden_size": hidden_size,
        "num_attention_heads": hidden_size // head,
        "max_position_embeddings": seq_length,
        "vocab_size": vocab_size,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    if family != "gpt2":
        dimensions["num_key_value_heads"] = hidden_size // head
        dimensions["intermediate_size"] = -(-8 * hidden_size // 192) * 64
    return EXTRA.require("transformers").AutoConfig.for_model(family, **dimensions)


def file_config(path: Path) -> Any:
    """The config in ``path``, a ``config.json``.

    Code and kernels that a config names elsewhere are neither fetched nor run. Raises
    ``InputError`` for a file that is not the config of a causal language model.
    """
    transformers = EXTRA.require("transformers")
    named, version = f"model={str(path)!r}", transformers.__version__
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        kind = values["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{named}: it is not a transformers config ({type(error).__name__}: {error}). Give a "
            "config.json with a model_type."
        ) from None
    for elsewhere in ("auto_map", "attn_implementation", "_attn_implementation"):
        values.pop(elsewhere, None)
    if kind not in transformers.CONFIG_MAPPING:
        raise InputError(f"{named}: transformers {version} has no model_type {kind!r}.")
    try:
        config = transformers.CONFIG_MAPPING[kind].from_dict(values)
    except Exception as error:  # each config class validates in its own way
        raise InputError(f"{named}: {first_line(str(error))}") from error
    if type(config) not in transformers.MODEL_FOR_CAUSAL_LM_MAPPING:
        raise InputError(
            f"{named}: {kind!r} is not a causal language model in transformers {version}."
        )
    # Padding is masked anyhow; an id beyond a changed vocab_size would be refused.
    config.get_text_config().pad_token_id = None
    return config


def build(config: Any, dtype: torch.dtype) -> nn.Module:
    """The network of a config with random weights. Raises ``InputError`` where it cannot be."""
    config.get_text_config().use_cache = False  # for generation, not for training
    automatic = EXTRA.require("transformers").AutoModelForCausalLM
    try:
        network: nn.Module = automatic.from_config(config, dtype=dtype, trust_remote_code=False)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"model={config.model_type}: {first_line(str(error))}") from error
    return network


def dimension(config: Any, name: str) -> int | None:
    """A number of a ``transformers`` config; ``None`` where the architecture has none."""
    value = getattr(config.get_text_config(), name, None)
    return value if isinstance(value, int) else None


class LanguageModel(nn.Module):
    """A network that returns its loss, with or without adapters around it."""

    chunked = False
    """Whether the loss is computed in chunks of tokens."""

    def __init__(self, network: nn.Module, adapted: nn.Module | None = None) -> None:
        super().__init__()
        self.trained = network if adapted is None else adapted
        """What is trained: the network itself, or peft's model, which holds it."""
        object.__setattr__(self, "network", network)  # a second name, not a second submodule

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Mean cross entropy of the next token over the labels that are not -100."""
        if self.chunked:
            return chunked_loss(self.network, batch)
        loss: Tensor = self.trained(**batch).loss
        return loss

    def gradient_checkpointing_enable(self) -> None:
        """Keep the inputs of each block only. Raises ``UnsupportedError``."""
        network: Any = self.network
        # The name before transformers 5.20, and the one that replaced it.
        enable = getattr(network, "activation_checkpointing_enable", None)
        enable = enable or network.gradient_checkpointing_enable
        try:
            enable({"use_reentrant": False})
        except ValueError as error:
            raise UnsupportedError(
                f"gradient_checkpointing=true: {first_line(str(error))}"
            ) from error
        if self.trained is not network:
            network.enable_input_require_grads()  # frozen embeddings would end the graph
