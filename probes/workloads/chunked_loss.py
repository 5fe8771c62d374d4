"""The loss of a language model, chunk by chunk: the logits of a whole batch never exist at once.

The same number as the loss of the whole, in less memory: one number per token and vocabulary entry
is often the largest tensor of a step. TRL's trainer does likewise. Runs in the user's interpreter:
Python 3.10 syntax.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

from probes.levers import UnsupportedError

CHUNK_TOKENS = 256
"""As in TRL."""
NOT_LEARNT = -100
"""Label of a token that does not count, as everywhere in transformers."""
SCALED_LOGITS = (
    "final_logit_softcapping",
    "logit_scale",
    "logits_scaling",
    "lm_head_multiplier",
)
"""Settings of architectures that change the logits after the output layer."""


def parts(network: Any) -> tuple[nn.Module, nn.Module]:
    """The network without its output layer, and that layer.

    Raises ``UnsupportedError`` for an architecture that does more with its logits.
    """
    config = network.config.get_text_config()
    changed = [name for name in SCALED_LOGITS if getattr(config, name, None) not in (None, 1, 1.0)]
    head = network.get_output_embeddings()
    backbone = getattr(network, network.base_model_prefix, None)
    if changed or not isinstance(head, nn.Linear) or backbone is None:
        why = f"its config sets {changed[0]}" if changed else "it has no plain output layer"
        raise UnsupportedError(
            f"chunked_loss=true: the loss of {type(network).__name__} cannot be computed in "
            f"chunks, because {why}. Leave the option out."
        )
    return backbone, head


def chunked_loss(network: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Mean cross entropy of the next token over the labels that are not -100.

    ``batch`` has ``input_ids`` and ``labels`` of shape (B, T), and what else the network takes.
    Raises ``UnsupportedError`` (see ``parts``).
    """
    backbone, head = parts(network)
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    hidden_BTD = backbone(**inputs)[0]
    hidden_ND = hidden_BTD[:, :-1].flatten(0, 1)
    labels_N = batch["labels"][:, 1:].flatten()
    total = hidden_ND.new_zeros((), dtype=torch.float32)
    chunks = zip(torch.split(hidden_ND, CHUNK_TOKENS), torch.split(labels_N, CHUNK_TOKENS))
    for hidden, labels in chunks:
        total = total + checkpoint(_summed_loss, head, hidden, labels, use_reentrant=False)
    mean: Tensor = total / (labels_N != NOT_LEARNT).sum()
    return mean


def _summed_loss(head: nn.Module, hidden_ND: Tensor, labels_N: Tensor) -> Tensor:
    return cross_entropy(head(hidden_ND).float(), labels_N, reduction="sum")
