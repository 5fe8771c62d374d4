"""What an architecture makes of settings, found on a model without weights: before rows are
prepared and gigabytes are loaded. Imports torch, transformers and peft.
"""

from __future__ import annotations

from typing import Any

from finetuning.models import quantized
from finetuning.models.loading import lora_config, read_past_adapters, targets
from finetuning.settings.model import FineTuningSettings
from probes.errors import InputError
from probes.workloads.adapters import check_targets


def outline(config: Any) -> Any:
    """The model of a config on torch's ``meta`` device, or none where it cannot be made so: loading
    then says more."""
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except Exception:
        return None


def check_outline(settings: FineTuningSettings, config: Any) -> list[str]:
    """Notes about what the settings do to this architecture. Raises ``InputError`` where they do
    nothing, or peft refuses them."""
    if settings.strategy == "full" or (model := outline(config)) is None:
        return []
    check_targets(model, targets(settings))
    notes = _few_bits(settings, model) if settings.strategy == "qlora" else []
    _check_adapters(settings, model)
    return notes


def expert_refusal(settings: FineTuningSettings, error: Exception) -> str | None:
    """What to do about peft's refusal of dropout around experts; none for another error."""
    if "lora_dropout" not in str(error):
        return None
    return (
        f"{settings.model.name} keeps its experts in one weight, and adapters around that know no "
        "dropout. Set lora.dropout=0."
    )


def _check_adapters(settings: FineTuningSettings, model: Any) -> None:
    has_experts = any(one.dim() > 2 for one in model.parameters())
    if not has_experts or not settings.lora.dropout:
        return
    from peft import get_peft_model

    try:
        get_peft_model(model, lora_config(settings, model))
    except Exception as error:
        if refusal := expert_refusal(settings, error):
            raise InputError(refusal) from error


def _few_bits(settings: FineTuningSettings, model: Any) -> list[str]:
    """A note where most base weights would stay as they are. bitsandbytes takes plain linear layers
    only: no layers of an architecture's own, and no experts in one weight."""
    from torch import nn

    bits, kind = settings.quantization.bits, model.config.model_type
    kept = {*read_past_adapters(model.config), "lm_head"}
    head, embeddings, few = model.get_output_embeddings(), set(), 0
    for name, module in model.named_modules():
        if module is head or isinstance(module, nn.Embedding):
            embeddings |= {id(one) for one in module.parameters()}
        elif type(module) is nn.Linear or type(module).__name__ == "Conv1D":
            few += 0 if name.rpartition(".")[2] in kept else module.weight.numel()
    total = sum(one.numel() for one in model.parameters() if id(one) not in embeddings)
    if not few:
        raise InputError(quantized.nothing_to_gain(settings, model))
    if few * 2 >= total:
        return []
    return [
        f"strategy=qlora keeps only {few / total:.0%} of the weights of {kind} in {bits} bits "
        "(embeddings not counted). Experts in one weight stay as they are, and so does most of the "
        "memory."
    ]
