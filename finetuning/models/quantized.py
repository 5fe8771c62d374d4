"""Frozen base weights in 4 or 8 bits with bitsandbytes, trained through correctly.

QLoRA: Dettmers et al., arXiv 2305.14314.
"""

from __future__ import annotations

from typing import Any

from finetuning.models.device import compute_dtype
from finetuning.settings.model import FineTuningSettings
from probes.levers import UnsupportedError
from probes.workloads.adapters import check_four_bits
from probes.workloads.extras import is_installed

NEEDS = "strategy=qlora needs bitsandbytes: python -m pip install bitsandbytes"


def quantization_config(
    settings: FineTuningSettings, device: str, kept: tuple[str, ...] = ()
) -> Any:
    """What ``from_pretrained`` takes. Layers whose names are in ``kept`` stay as they are. Raises
    ``UnsupportedError`` where this device cannot."""
    if not is_installed("bitsandbytes"):
        raise UnsupportedError(NEEDS)
    from transformers import BitsAndBytesConfig

    wanted = settings.quantization
    skipped = [*kept, "lm_head"] if kept else None
    if wanted.bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    import torch

    check_four_bits(torch.device(device))
    return BitsAndBytesConfig(
        load_in_4bit=True,
        llm_int8_skip_modules=skipped,
        bnb_4bit_quant_type=wanted.quant_type,
        bnb_4bit_use_double_quant=wanted.double_quant,
        bnb_4bit_compute_dtype=compute_dtype(settings, device),
    )


def nothing_to_gain(settings: FineTuningSettings, model: Any) -> str:
    """The refusal where no layer of the architecture can be kept in few bits."""
    return (
        f"strategy=qlora: none of the layers of {model.config.model_type} can be kept in "
        f"{settings.quantization.bits} bits, so nothing would be gained. Use --set strategy=lora."
    )


def prepare(model: Any, settings: FineTuningSettings) -> Any:
    """Make a quantised model trainable: norms in float32, and gradients that stay right.

    On CPUs with AVX512-BF16 a forward pass in evaluation mode packs the 4-bit weights for
    inference, and every later training pass goes through them without autograd: gradients are
    silently wrong. ``keep_gradients_right`` forbids that packing.

    Raises ``UnsupportedError`` where no layer is quantised.
    """
    from bitsandbytes.nn import Linear4bit, Linear8bitLt
    from peft import prepare_model_for_kbit_training

    if not any(isinstance(module, (Linear4bit, Linear8bitLt)) for module in model.modules()):
        raise UnsupportedError(nothing_to_gain(settings, model))
    keep_gradients_right(model)
    checkpointing = settings.training.gradient_checkpointing
    return prepare_model_for_kbit_training(
        model,
        use_gradient_checkpointing=checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if checkpointing else None,
    )


def keep_gradients_right(model: Any) -> int:
    """Forbid 4-bit layers to pack their weights for CPU inference. Returns how many there are."""
    count = 0
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
            count += 1
    return count


def keep_adapters_exact(model: Any, arithmetic: str) -> None:
    """Hold what is trained in float32, unless the arithmetic is bf16.

    TRL makes the adapters of quantised models bfloat16, as QLoRA's authors did on GPUs. Beside
    float32 arithmetic that loses small updates, and on CPUs with AVX512-BF16 each new length of a
    row leaves compiled kernels of 15 MiB behind, until a thousand of them are kept.
    """
    import torch

    if arithmetic == "bf16":
        return
    for parameter in model.parameters():
        if parameter.requires_grad and parameter.dtype == torch.bfloat16:
            parameter.data = parameter.data.float()
