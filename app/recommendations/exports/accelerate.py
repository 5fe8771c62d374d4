"""The config file of Hugging Face's ``accelerate launch --config_file`` (of accelerate 1)."""

from __future__ import annotations

from typing import Any

from app.recommendations.exports.contract import Export, export_format
from app.recommendations.exports.ranks import FIRST_HOST, Ranks, Sharding
from app.recommendations.exports.sheet import Sheet
from optimizer.records import Recommendation

_SEVERAL = {"cpu": "MULTI_CPU", "xpu": "MULTI_XPU"}


@export_format("accelerate", "config file of accelerate launch")
def to_accelerate(recommendation: Recommendation) -> Export:
    """The config file of ``accelerate launch``, as YAML."""
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
    }
    if precision is not None or not sheet.is_command:
        document["mixed_precision"] = precision if precision in ("bf16", "fp16") else "no"
    else:
        sheet.cannot(
            "mixed_precision: start it with the --mixed_precision that the command has. Without "
            "one, and without one in the script, accelerate trains in fp32, which may need more "
            "memory than was measured."
        )
    if sheet.ranks is not None:
        document.update(_parallel_keys(sheet, sheet.ranks, document.get("mixed_precision", "no")))
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
    sheet.adapter_by_code()
    return sheet.yaml(document)


def _parallel_keys(sheet: Sheet, ranks: Ranks, precision: str) -> dict[str, Any]:
    """How several devices train as one; ``precision`` is the mixed precision so far."""
    keys: dict[str, Any] = {
        "distributed_type": _SEVERAL.get(sheet.kind, "MULTI_GPU"),
        "num_processes": ranks.size,
    }
    if ranks.parallel is None:
        sheet.cannot(
            f"distributed_type={keys['distributed_type']} is DDP. If the command shards its model "
            "(FSDP, DeepSpeed), keep its own."
        )
    if ranks.group.hosts > 1:
        keys["num_machines"] = ranks.group.hosts
        address, _, port = FIRST_HOST.rpartition(":")
        keys["main_process_ip"], keys["main_process_port"] = address, int(port)
        sheet.cannot(
            f"{address} and machine_rank: give the address of one host, and each host its number."
        )
    if ranks.selection:
        keys["gpu_ids"] = ",".join(map(str, ranks.numbers))
        sheet.selection = {}
    if sheet.kind == "cpu":
        _on_the_cpu(sheet, ranks, precision)
    if ranks.parallel == "ddp":
        sheet.take_parallel()
        _ddp_by_code(sheet)
    if ranks.parallel == "tp":
        sheet.take_parallel()
        keys["parallelism_config"] = {
            "parallelism_config_tp_size": ranks.tensor_parallel,
            "parallelism_config_dp_shard_size": ranks.data_parallel,
        }
        sheet.cannot(
            f"parallel=tp tensor_parallel={ranks.tensor_parallel}: accelerate gives the ranks of a "
            "team the same batch, and your code divides the layers: before prepare(), call the "
            "workload's parallelize(model, mesh) with accelerator.torch_device_mesh, and set "
            f"model.tp_size = {ranks.tensor_parallel}."
        )
    if ranks.shards:
        keys.update(_fsdp_keys(sheet, ranks, precision))
    return keys


def _fsdp_keys(sheet: Sheet, ranks: Ranks, precision: str) -> dict[str, Any]:
    sheet.take_parallel()
    sharding = sheet.take_sharding()
    if sheet.kind == "cpu":
        sheet.cannot(
            "parallel=fsdp: accelerate shards on GPUs only. On the CPU, train without it and call "
            f"{ranks.fsdp_calls(sharding)}."
        )
    wrapped = wrapping(sheet, ranks, "fsdp_transformer_layer_cls_to_wrap")
    fsdp: dict[str, Any] = {
        "fsdp_version": 2,
        "fsdp_reshard_after_forward": sharding.reshard,
        "fsdp_offload_params": sharding.offload,
        "fsdp_state_dict_type": "SHARDED_STATE_DICT",
        **{f"fsdp_{name}": value for name, value in wrapped.items()},
    }
    if not ranks.division.as_one:  # it recomputes what the policy wraps
        fsdp["fsdp_activation_checkpointing"] = bool(sheet.take_switch("gradient_checkpointing"))
    in_bf16 = precision_of_sharding(
        sheet,
        sharding,
        precision,
        "accelerate",
        "give Accelerator a FullyShardedDataParallelPlugin(mixed_precision_policy={policy})",
    )
    mixed = "bf16" if in_bf16 else precision
    return {"distributed_type": "FSDP", "mixed_precision": mixed, "fsdp_config": fsdp}


def wrapping(sheet: Sheet, ranks: Ranks, key: str) -> dict[str, str]:
    """The keys by which accelerate, and what is built on it, find the blocks that are sharded one
    by one. ``key`` is the full name of the one for their class, for a sentence."""
    division = ranks.division
    if division.by_the_workload:
        sheet.cannot("The workload's own parallelize(model, mesh) was measured: call it yourself.")
    if division.as_one:
        return {"auto_wrap_policy": "NO_WRAP"}
    by_class = {"auto_wrap_policy": "TRANSFORMER_BASED_WRAP"}
    if division.block is not None:
        return {**by_class, "transformer_layer_cls_to_wrap": division.block}
    sheet.cannot(
        "The blocks that are sharded one by one are known for models of transformers only "
        f"(_no_split_modules). For another model, add {key} with the class of its blocks."
    )
    return by_class


def precision_of_sharding(
    sheet: Sheet, sharding: Sharding, precision: str | None, program: str, exactly: str
) -> bool:
    """Whether mixed precision is bf16 for accelerate, which has a single setting for autocast and
    for what FSDP gathers and reduces. A sentence says how that differs from what was measured, and
    how to train ``exactly`` with the ``{policy}`` that was measured."""
    gathered = sharding.dtype
    if precision == "bf16" and gathered == "bf16":
        measured, instead = "gradients were reduced in fp32", "reduces them in bf16"
    elif precision == "bf16":
        measured = "parameters were gathered and gradients reduced in fp32, under autocast"
        instead = "gathers and reduces in bf16, which takes less memory"
    elif gathered == "bf16":
        measured = "parameters were gathered in bf16 and gradients reduced in fp32, no autocast"
        instead = "reduces in bf16 as well, and runs autocast"
    else:
        return False
    sheet.cannot(
        f"Mixed precision of FSDP: {measured}; with bf16, {program} {instead}. To train as it was "
        f"measured, {exactly.format(policy=sharding.policy)}."
    )
    return True


def _ddp_by_code(sheet: Sheet) -> None:
    arguments = sheet.take_ddp()
    changed = {name: value for name, value in arguments.items() if value}
    if changed:
        given = ", ".join(f"{name}={value}" for name, value in changed.items())
        sheet.cannot(
            f"accelerate's config file has no keys for DDP; write Accelerator(kwargs_handlers="
            f"[DistributedDataParallelKwargs({given})])."
        )


def _on_the_cpu(sheet: Sheet, ranks: Ranks, precision: str) -> None:
    variables = "ACCELERATE_USE_CPU=true"
    if precision != "no":
        variables += f" ACCELERATE_MIXED_PRECISION={precision}"
    sheet.cannot(
        "accelerate launch starts ranks on the CPU only through MPI (mpirun_config); any process "
        f"that it starts otherwise trains alone. Start them with {variables} torchrun "
        f"{ranks.torchrun} SCRIPT."
    )
