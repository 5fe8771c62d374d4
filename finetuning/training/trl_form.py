"""The same training as TRL's own command line would run it. Standard library only."""

from __future__ import annotations

from typing import Any

from finetuning.settings.model import FineTuningSettings
from finetuning.training.arguments import trl_arguments


def trl_config(settings: FineTuningSettings, dataset: str) -> dict[str, Any]:
    """What ``trl sft --config FILE`` takes for the same training of ``dataset``, a folder with
    ``train.jsonl``. Where the settings name no batch size, the effective one is
    made of single rows."""
    training = settings.training
    micro = 1 if isinstance(training.batch_size, str) else training.batch_size
    config = {
        "model_name_or_path": settings.model.name,
        "dataset_name": dataset,
        **{name: value for name, value in trl_arguments(settings).items() if value is not None},
        "per_device_train_batch_size": micro,
        "gradient_accumulation_steps": -(-training.effective_batch_size // micro),
        "use_peft": settings.strategy != "full",
        "dtype": settings.model.dtype,
    }
    if settings.model.attention != "auto":
        config["attn_implementation"] = settings.model.attention
    if settings.strategy != "full":
        lora = settings.lora
        config |= {
            "lora_r": lora.r,
            "lora_alpha": lora.alpha,
            "lora_dropout": lora.dropout,
            "lora_target_modules": list(lora.target_modules) or "all-linear",
            "use_rslora": lora.rslora,
            "use_dora": lora.dora,
        }
    if settings.strategy == "qlora":
        bits = settings.quantization.bits
        config |= {
            "load_in_4bit": bits == 4,
            "load_in_8bit": bits == 8,
            "bnb_4bit_quant_type": settings.quantization.quant_type,
            "use_bnb_nested_quant": settings.quantization.double_quant,
        }
    return config
