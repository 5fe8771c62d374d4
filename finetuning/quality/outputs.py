"""By how much do a model's outputs change when its adapters are merged into its weights?

Weights of 4 or 8 bits are rounded again when an adapter is added to them, so the merged model is
not the one that was trained (peft warns of it). ``safe_merge`` only looks for NaN.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from finetuning.models.quantized import keep_gradients_right
from finetuning.quality.session import begin, job_of, train
from probes.errors import InputError
from probes.worker.channel import Channel


def output_error(arguments: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Train adapters for ``arguments["steps"]`` steps, and compare the logits of a batch before and
    after they are merged into the weights that they lie around.

    Returns ``{"error": …}``: the norm of the difference over the norm of the logits before. Raises
    ``InputError`` where the model has no adapters.
    """
    training = begin(job_of(arguments), channel)
    keep_gradients_right(training.model)
    adapted = adapted_model(training.model)
    train(training, int(arguments["steps"]), channel)
    channel.progress("evaluate")
    batch = training.worst_batch()
    apart = logits(adapted, batch)
    adapted.merge_adapter()
    merged = logits(adapted, batch)
    return {"error": float((merged - apart).norm() / apart.norm())}


def adapted_model(model: nn.Module) -> Any:
    """The model of peft inside. Raises ``InputError`` where there is none."""
    adapted = next((m for m in model.modules() if hasattr(m, "merge_adapter")), None)
    if adapted is None:
        raise InputError(
            "Nothing can be merged: the model has no adapters. Set strategy=lora or strategy=qlora."
        )
    return adapted


def logits(model: Any, batch: Any) -> torch.Tensor:
    """In float64 on the CPU, in evaluation mode."""
    inputs = {name: batch[name] for name in ("input_ids", "attention_mask") if name in batch}
    training = model.training
    model.eval()
    with torch.no_grad():
        found: torch.Tensor = model(**inputs).logits
    model.train(training)
    return found.to("cpu", torch.float64)
