"""``TrainingArguments`` of Hugging Face's ``transformers``.

They are read by ``HfArgumentParser.parse_yaml_file`` and ``parse_json_file`` (of transformers 4.56
to 5; the keys of FSDP are those of 5). ``Trainer`` spreads a model with accelerate.
"""

from __future__ import annotations

from typing import Any

from app.recommendations.exports.accelerate import precision_of_sharding, wrapping
from app.recommendations.exports.contract import Export, export_format
from app.recommendations.exports.sheet import Sheet, given
from optimizer.records import Recommendation


@export_format("transformers", "TrainingArguments, YAML")
def to_transformers(recommendation: Recommendation) -> Export:
    """TrainingArguments, as YAML."""
    sheet = Sheet(recommendation, "TrainingArguments")
    return sheet.yaml(training_arguments(sheet))


@export_format("transformers-json", "TrainingArguments, JSON")
def to_transformers_json(recommendation: Recommendation) -> Export:
    """TrainingArguments, as JSON."""
    sheet = Sheet(recommendation, "TrainingArguments")
    return sheet.json(training_arguments(sheet))


def training_arguments(sheet: Sheet) -> dict[str, Any]:
    """Keys of ``TrainingArguments``. Adapters have none there."""
    r = sheet.recommendation
    precision = sheet.left.get("precision")
    document: dict[str, Any] = {
        "per_device_train_batch_size": r.batch_size,
        **given(gradient_accumulation_steps=sheet.accumulation),
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
    sheet.adapter_by_code()
    document.update(_parallel_keys(sheet, precision))
    return document


def _parallel_keys(sheet: Sheet, precision: str | None) -> dict[str, Any]:
    """How several devices train as one; empty for a single device."""
    ranks = sheet.ranks
    if ranks is None:
        return {}
    sheet.cannot(
        f"Start it with torchrun {ranks.torchrun} SCRIPT. A Trainer that is started without a "
        "launcher spreads each batch over the GPUs with DataParallel, which was not measured."
    )
    if ranks.parallel == "ddp":
        sheet.take_parallel()
        return ddp_keys(sheet)
    if ranks.parallel != "fsdp":
        return {}
    sheet.take_parallel()
    sharding = sheet.take_sharding()
    if sheet.kind == "cpu":
        sheet.cannot(
            "parallel=fsdp: on the CPU, Trainer ignores fsdp and trains with DDP, where every rank "
            f"holds the whole model. Train without it, and call {ranks.fsdp_calls(sharding)}."
        )
    in_bf16 = precision_of_sharding(
        sheet,
        sharding,
        precision,
        "Trainer",
        "before train(), set trainer.accelerator.state.fsdp_plugin.mixed_precision_policy to "
        "{policy}",
    )
    keys: dict[str, Any] = {"bf16": True} if in_bf16 else {}
    return {
        **keys,
        "fsdp": True,
        "fsdp_config": {
            "version": 2,
            "reshard_after_forward": sharding.reshard,
            "cpu_offload": sharding.offload,
            "state_dict_type": "SHARDED_STATE_DICT",
            **wrapping(sheet, ranks, "fsdp_config.transformer_layer_cls_to_wrap"),
        },
    }


def ddp_keys(sheet: Sheet) -> dict[str, Any]:
    """``ddp_…`` of ``TrainingArguments``; Trainer looks for unused parameters unless it is told
    otherwise."""
    arguments = sheet.take_ddp()
    keys: dict[str, Any] = {
        "ddp_find_unused_parameters": arguments.get("find_unused_parameters", False)
    }
    if "bucket_cap_mb" in arguments:
        keys["ddp_bucket_cap_mb"] = arguments["bucket_cap_mb"]
    if arguments.get("static_graph"):
        keys["ddp_static_graph"] = True
        sheet.cannot("ddp_static_graph is a key of transformers 5; earlier ones refuse it.")
    if arguments.get("gradient_as_bucket_view"):
        sheet.cannot(
            "ddp_bucket_view=true: TrainingArguments has no key for it, and without it DDP holds a "
            "copy of the gradients. Give gradient_as_bucket_view=True to the "
            "DistributedDataParallelKwargs from which your Trainer makes its Accelerator."
        )
    return keys


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
