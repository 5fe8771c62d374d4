"""Keys for the configs of programs that fine-tune language models.

Merge the keys into your own config, which names the model and the data. If a default of the program
differs from what was measured, the file overrides it. The keys are those of torchtune 0.6, Axolotl
0.19 and LLaMA-Factory 0.9.
"""

from __future__ import annotations

from typing import Any

from app.recommendations.exports.accelerate import wrapping
from app.recommendations.exports.contract import Export, export_format
from app.recommendations.exports.hugging_face import optimizer_key, precision_keys
from app.recommendations.exports.sheet import ADAPTERS, CAUSAL_LM, Sheet, given
from optimizer.records import Recommendation

_CAUSAL_LM_DROPOUT = 0.1
_DISTRIBUTED_LORA = "lora_finetune_distributed"


@export_format("torchtune", "keys of a torchtune recipe, YAML")
def to_torchtune(recommendation: Recommendation) -> Export:
    """torchtune's recipes hold model and optimizer state in ``dtype``; there is no autocast."""
    sheet = Sheet(recommendation, "a torchtune recipe")
    document: dict[str, Any] = {
        "batch_size": recommendation.batch_size,
        **given(gradient_accumulation_steps=sheet.accumulation),
        "device": "cuda" if sheet.kind == "rocm" else sheet.kind,
    }
    precision = sheet.take("precision")
    if precision in ("fp32", "tf32"):
        document["dtype"] = "fp32"
        sheet.left["precision"] = precision
    elif precision == "bf16":
        document["dtype"] = "bf16"
        sheet.cannot(
            "precision=bf16: torchtune holds weights and optimizer state in bf16, which was not "
            "measured. The measurement used autocast with fp32 weights, which needs more memory."
        )
    elif precision == "fp16":
        sheet.cannot("precision=fp16: torchtune's recipes refuse it; use bf16 or fp32.")
    document.update(
        given(
            enable_activation_checkpointing=sheet.take_switch("gradient_checkpointing"),
            compile=sheet.take_switch("compile"),
        )
    )
    impl = sheet.take("optimizer_impl")
    if impl in ("fused", "foreach", "forloop"):
        document["optimizer"] = {"fused": impl == "fused", "foreach": impl == "foreach"}
    document.update(_torchtune_ranks(sheet))
    strategy, rank = sheet.take_adapter()
    if rank is not None:
        document["model"] = {"lora_rank": rank, "lora_alpha": 2 * rank}
        options = sheet.options()
        dropout = options.pop("lora_dropout", _dropout(sheet))
        if dropout is not None:
            document["model"]["lora_dropout"] = dropout
        if options.pop("dora", False):
            document["model"]["use_dora"] = True
        if options.pop("rslora", False):
            sheet.cannot("rslora=true: a torchtune recipe has no key for it.")
    if strategy in ADAPTERS:
        recipe = "lora_finetune_single_device" if sheet.ranks is None else _DISTRIBUTED_LORA
        sheet.cannot(
            f"strategy={strategy}: torchtune has a separate recipe and model builder for it. Use "
            f"{recipe} with {strategy}_… as model._component_."
        )
    length, packing = sheet.take("seq_length"), sheet.take("packing")
    if length is not None:
        document["tokenizer"] = {"max_seq_len": length}
    if packing is not None:
        document["dataset"] = {"packed": packing}
    return sheet.yaml(document)


def _torchtune_ranks(sheet: Sheet) -> dict[str, Any]:
    """How several devices train as one: torchtune's distributed recipes shard with FSDP2."""
    ranks = sheet.ranks
    if ranks is None:
        return {}
    sheet.cannot(
        f"Start it with tune run --nproc_per_node {ranks.size} and a distributed recipe: "
        f"full_finetune_distributed or {_DISTRIBUTED_LORA}."
    )
    if ranks.parallel == "ddp":
        sheet.cannot(
            f"{sheet.parallel_text}: torchtune's distributed recipes have no DDP. They shard the "
            "model with FSDP2, which needs less memory and more communication than was measured."
        )
        sheet.take_parallel()
        sheet.take_ddp()
    keys: dict[str, Any] = {}
    if ranks.parallel == "tp":
        keys["tensor_parallel_dim"] = ranks.tensor_parallel
        sheet.cannot(
            f"parallel=tp tensor_parallel={ranks.tensor_parallel}: name a plan of torchtune in "
            "tensor_parallel_plan; the workload's own parallelize() was measured."
        )
    if ranks.shards:
        sheet.take_parallel()
        sharding = sheet.take_sharding()
        keys["fsdp_reshard_after_forward"] = sharding.reshard
        keys["fsdp_cpu_offload"] = sharding.offload
        if sharding.dtype == "bf16":
            sheet.cannot(
                "fsdp_dtype=bf16: torchtune has no mixed precision of FSDP; dtype is that of the "
                "weights."
            )
    sheet.take_parallel()
    return keys


@export_format("axolotl", "keys of an Axolotl config, YAML")
def to_axolotl(recommendation: Recommendation) -> Export:
    """A config for Axolotl, as YAML."""
    sheet = Sheet(recommendation, "an Axolotl config")
    precision = sheet.left.get("precision")
    document: dict[str, Any] = {
        "micro_batch_size": recommendation.batch_size,
        **given(gradient_accumulation_steps=sheet.accumulation),
        **_precision(sheet),
    }
    checkpointing = sheet.take_switch("gradient_checkpointing")
    document.update(given(gradient_checkpointing=checkpointing))
    if checkpointing:
        document["gradient_checkpointing_kwargs"] = {"use_reentrant": False}
    document.update(given(torch_compile=sheet.take_switch("compile")))
    document.update(optimizer_key(sheet, "optimizer"))
    strategy, rank = sheet.take_adapter()
    options = sheet.options()
    if strategy in ADAPTERS:
        document["adapter"] = strategy
        document["load_in_4bit"] = strategy == "qlora"
        document.update(_targets(options, "lora_target_modules", {"lora_target_linear": True}))
        document.update(_rank("lora_r", rank))
        document.update(given(lora_dropout=options.get("lora_dropout", _dropout(sheet))))
        document.update(_switched_on(options, rslora="peft_use_rslora", dora="peft_use_dora"))
    document.update(_axolotl_ranks(sheet, precision))
    lengths = given(sequence_len=sheet.take("seq_length"), sample_packing=sheet.take("packing"))
    return sheet.yaml(document | lengths)


def _axolotl_ranks(sheet: Sheet, precision: str | None) -> dict[str, Any]:
    ranks = sheet.ranks
    if ranks is None:
        return {}
    sheet.cannot(f"Start it with torchrun {ranks.torchrun} -m axolotl.cli.train CONFIG.")
    if ranks.parallel == "ddp":
        sheet.take_parallel()
        return _ddp_keys(sheet)
    if ranks.parallel != "fsdp":
        return {}
    sheet.take_parallel()
    sharding = sheet.take_sharding()
    in_bf16 = sharding.dtype == "bf16"
    if in_bf16 or precision == "bf16":
        sheet.cannot(
            f"Mixed precision of FSDP: parameters were gathered in {sharding.dtype} and gradients "
            "reduced in fp32; Axolotl gathers and reduces in bf16."
        )
    fsdp = {
        "reshard_after_forward": sharding.reshard,
        "offload_params": sharding.offload,
        "state_dict_type": "SHARDED_STATE_DICT",
        **wrapping(sheet, ranks, "fsdp_config.transformer_layer_cls_to_wrap"),
    }
    return {**({"bf16": True} if in_bf16 else {}), "fsdp_version": 2, "fsdp_config": fsdp}


@export_format("llama-factory", "keys of a LLaMA-Factory config, YAML")
def to_llama_factory(recommendation: Recommendation) -> Export:
    """A config for LLaMA-Factory, as YAML."""
    sheet = Sheet(recommendation, "a LLaMA-Factory config")
    document: dict[str, Any] = {
        "per_device_train_batch_size": recommendation.batch_size,
        **given(gradient_accumulation_steps=sheet.accumulation),
        **_precision(sheet),
    }
    checkpointing = sheet.take_switch("gradient_checkpointing")
    if checkpointing is not None:
        document["disable_gradient_checkpointing"] = not checkpointing
    if checkpointing:
        document["use_reentrant_gc"] = False
    document.update(given(torch_compile=sheet.take_switch("compile")))
    document.update(optimizer_key(sheet, "optim"))
    strategy, rank = sheet.take_adapter()
    options = sheet.options()
    if strategy is not None:
        document["finetuning_type"] = "full" if strategy == "full" else "lora"
    if strategy == "qlora":
        document.update(quantization_bit=4, quantization_type="nf4", double_quantization=True)
    if strategy in ADAPTERS:
        document.update(_targets(options, "lora_target", {"lora_target": "all"}, joined=True))
        document.update(_rank("lora_rank", rank))
        document.update(given(lora_dropout=options.get("lora_dropout", _dropout(sheet))))
        document.update(_switched_on(options, rslora="use_rslora", dora="use_dora"))
    document.update(_llama_factory_ranks(sheet))
    lengths = given(cutoff_len=sheet.take("seq_length"), packing=sheet.take("packing"))
    return sheet.yaml(document | lengths)


def _llama_factory_ranks(sheet: Sheet) -> dict[str, Any]:
    ranks = sheet.ranks
    if ranks is None:
        return {}
    if ranks.parallel == "fsdp":
        sheet.cannot(
            f"{sheet.parallel_text}: LLaMA-Factory takes it from accelerate. Start it with "
            "accelerate launch --config_file ACCELERATE src/train.py CONFIG, where ACCELERATE is "
            "what tonnage export --to accelerate writes."
        )
        sheet.take_parallel()
        sheet.take_sharding()
        return {}
    sheet.cannot(
        f"Start it with FORCE_TORCHRUN=1 NPROC_PER_NODE={ranks.size} llamafactory-cli train CONFIG."
    )
    if ranks.parallel != "ddp":
        return {}
    sheet.take_parallel()
    return _ddp_keys(sheet)


def _ddp_keys(sheet: Sheet) -> dict[str, Any]:
    """``ddp_…`` of the transformers 4 that these programs use: no static graph."""
    arguments = sheet.take_ddp()
    if arguments.get("gradient_as_bucket_view"):
        sheet.cannot(
            f"ddp_bucket_view=true: {sheet.target} has no key for it, and without it DDP holds a "
            "copy of the gradients; expect that much more memory than was measured."
        )
    if arguments.get("static_graph"):
        sheet.cannot(f"ddp_static_graph=true: {sheet.target} has no key for it.")
    return {
        "ddp_find_unused_parameters": arguments.get("find_unused_parameters", False),
        **given(ddp_bucket_cap_mb=arguments.get("bucket_cap_mb")),
    }


def _precision(sheet: Sheet) -> dict[str, Any]:
    """The precision, even if the config of a workload does not set it: these programs would choose
    one."""
    return precision_keys(sheet) or ({} if sheet.is_command else {"bf16": False, "fp16": False})


def _dropout(sheet: Sheet) -> float | None:
    """The dropout of the adapters if no option sets it; known for the built-in workload only."""
    return _CAUSAL_LM_DROPOUT if sheet.recommendation.workload == CAUSAL_LM else None


def _rank(key: str, rank: int | None) -> dict[str, Any]:
    return {} if rank is None else {key: rank, "lora_alpha": 2 * rank}


def _targets(
    options: dict[str, Any], key: str, everywhere: dict[str, Any], *, joined: bool = False
) -> dict[str, Any]:
    named = options.get("target_modules", "all-linear")
    if named == "all-linear":
        return everywhere
    names = [name.strip() for name in str(named).split(",") if name.strip()]
    return {key: ",".join(names) if joined else names}


def _switched_on(options: dict[str, Any], **keys: str) -> dict[str, Any]:
    return {key: True for name, key in keys.items() if options.get(name)}
