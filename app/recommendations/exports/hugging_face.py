"""Files of Hugging Face's ``transformers`` and ``accelerate``.

``TrainingArguments`` are read by ``HfArgumentParser.parse_yaml_file`` and ``parse_json_file`` (of
transformers 4.56 to 5), accelerate's by ``accelerate launch --config_file`` (of accelerate 1).
"""

from __future__ import annotations

from typing import Any

from app.recommendations.exports.contract import Export, export_format
from app.recommendations.exports.sheet import ADAPTERS, Sheet
from optimizer.records import Recommendation


@export_format("transformers", "TrainingArguments, YAML")
def to_transformers(recommendation: Recommendation) -> Export:
    sheet = Sheet(recommendation, "TrainingArguments")
    return sheet.yaml(training_arguments(sheet))


@export_format("transformers-json", "TrainingArguments, JSON")
def to_transformers_json(recommendation: Recommendation) -> Export:
    sheet = Sheet(recommendation, "TrainingArguments")
    return sheet.json(training_arguments(sheet))


@export_format("accelerate", "config file of accelerate launch")
def to_accelerate(recommendation: Recommendation) -> Export:
    sheet = Sheet(recommendation, "accelerate's config file")
    precision = sheet.take("precision")
    document: dict[str, Any] = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "NO",
        "num_machines": 1,
        "num_processes": 1,
        "machine_rank": 0,
        "main_training_function": "main",
        "use_cpu": sheet.kind == "cpu",
        "debug": False,
        "mixed_precision": precision if precision in ("bf16", "fp16") else "no",
    }
    if precision in ("fp32", "tf32"):
        sheet.left["precision"] = precision  # only switches mixed precision off; TF32 is by code
    if sheet.take("compile"):
        document["dynamo_config"] = {"dynamo_backend": "INDUCTOR"}
    sheet.cannot(
        f"batch_size={recommendation.batch_size}: accelerate's config file has no key for it; give "
        "it to your DataLoader."
    )
    if recommendation.accumulation != 1:
        sheet.cannot(
            f"accumulation={recommendation.accumulation}: accelerate's config file has no key for "
            "it; write Accelerator(gradient_accumulation_steps="
            f"{recommendation.accumulation})."
        )
    _adapter_by_code(sheet)
    return sheet.yaml(document)


def training_arguments(sheet: Sheet) -> dict[str, Any]:
    """Keys of ``TrainingArguments``. Adapters have none there."""
    r = sheet.recommendation
    document: dict[str, Any] = {
        "per_device_train_batch_size": r.batch_size,
        "gradient_accumulation_steps": r.accumulation,
        **precision_keys(sheet),
    }
    if sheet.kind == "cpu":
        document["use_cpu"] = True
    checkpointing = sheet.take("gradient_checkpointing")
    if checkpointing is not None:
        document["gradient_checkpointing"] = checkpointing
    if checkpointing:
        document["gradient_checkpointing_kwargs"] = {"use_reentrant": False}
        sheet.cannot(
            "transformers 6 will know gradient_checkpointing as activation_checkpointing only."
        )
    compiled = sheet.take("compile")
    if compiled is not None:
        document["torch_compile"] = compiled
    document.update(optimizer_key(sheet, "optim"))
    _adapter_by_code(sheet)
    return document


def precision_keys(sheet: Sheet) -> dict[str, Any]:
    """``bf16``, ``fp16`` and ``tf32``, as Hugging Face's trainers and those built on them have
    them: autocast around the loss, as it was measured."""
    precision = sheet.take("precision")
    if precision is None:
        return {}
    keys: dict[str, Any] = {"bf16": precision == "bf16", "fp16": precision == "fp16"}
    if precision in ("fp32", "tf32"):
        keys["tf32"] = precision == "tf32"
    return keys


def optimizer_key(sheet: Sheet, key: str) -> dict[str, Any]:
    """The name of AdamW with the implementation that was measured, where there is one."""
    impl = sheet.take("optimizer_impl")
    by_default = "foreach" if sheet.kind in ("cuda", "rocm", "xpu") else "forloop"
    if impl in (None, "default"):
        return {}
    if impl in ("fused", by_default):
        name = "adamw_torch_fused" if impl == "fused" else "adamw_torch"
        sheet.cannot(f"{key}={name} is torch's AdamW: change it if you train with another one.")
        return {key: name}
    sheet.cannot(
        f"optimizer_impl={impl}: {key} has no value for it on {sheet.kind}; make the optimizer "
        f"yourself, with foreach={impl == 'foreach'} and fused=False."
    )
    return {}


def _adapter_by_code(sheet: Sheet) -> None:
    strategy, rank = sheet.take_adapter()
    if strategy not in ADAPTERS:
        return
    size = f"r={rank}, lora_alpha={2 * rank}, " if rank else ""
    first = (
        "Load the model in 4 bits (BitsAndBytesConfig, nf4), and give"
        if (strategy == "qlora")
        else "Give"
    )
    sheet.cannot(
        f"strategy={strategy}: {sheet.target} has no keys for adapters. {first} it "
        f"peft.LoraConfig({size}target_modules='all-linear')."
    )
