"""DeepSpeed's JSON: without ZeRO for one device and for DDP, and with the stage of ZeRO that is
nearest to FSDP's sharding.

Precision goes under ``torch_autocast``, which is what was measured: weights in fp32, autocast
around the loss, and loss scaling for fp16. DeepSpeed's ``bf16`` and ``fp16`` keep the weights in
halves, which is another training with other memory.
"""

from __future__ import annotations

from typing import Any

from app.recommendations.exports.contract import Export, export_format
from app.recommendations.exports.ranks import Ranks
from app.recommendations.exports.sheet import Sheet, given
from optimizer.records import Recommendation

NOTE_KEY = "tonnage"
"""DeepSpeed reads the keys it knows from the top level, and leaves others alone."""

_DTYPES = {"bf16": "bfloat16", "fp16": "float16"}


@export_format("deepspeed", "DeepSpeed's JSON")
def to_deepspeed(recommendation: Recommendation) -> Export:
    """DeepSpeed's configuration, as JSON."""
    sheet = Sheet(recommendation, "DeepSpeed's JSON")
    document: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": recommendation.batch_size,
        **given(gradient_accumulation_steps=sheet.accumulation),
    }
    if not sheet.is_command:
        document["zero_optimization"] = {"stage": 0}
    precision = sheet.take("precision")
    if sheet.ranks is not None:
        sharded_dtype = _of_ranks(sheet, sheet.ranks, document)
        precision = precision if precision in _DTYPES else sharded_dtype or precision
    if precision is not None:
        document["bf16"] = {"enabled": False}
        document["fp16"] = {"enabled": False}
    if precision in _DTYPES:
        document["torch_autocast"] = {"enabled": True, "dtype": _DTYPES[precision]}
        sheet.cannot(
            f"precision={precision} is torch_autocast, as it was measured. A DeepSpeed too old to "
            f"know that key would train in fp32; its own {precision} holds the weights in "
            f"{_DTYPES[precision]} and was not measured."
        )
    elif precision is not None:
        sheet.left["precision"] = precision
    if sheet.take("gradient_checkpointing"):
        sheet.cannot(
            "gradient_checkpointing=true: DeepSpeed's activation_checkpointing only configures "
            "deepspeed.checkpointing.checkpoint; call model.gradient_checkpointing_enable()."
        )
    if sheet.take("compile"):
        sheet.cannot("compile=true: DeepSpeed has no key for it; call engine.compile().")
    if sheet.ranks is None:
        sheet.cannot(
            f"Measured on one device{_zero_of(sheet)}: train_batch_size follows from the number "
            "of devices, and another stage of ZeRO or offloading changes memory and time."
        )
    return sheet.json(document, NOTE_KEY)


def _zero_of(sheet: Sheet) -> str:
    return ", with the ZeRO of the command's own script" if sheet.is_command else " without ZeRO"


def _of_ranks(sheet: Sheet, ranks: Ranks, document: dict[str, Any]) -> str | None:
    """Add how several devices train as one; returns the precision that FSDP's gathered parameters
    had, if not that of the weights."""
    document["train_batch_size"] = ranks.global_batch_size
    started = f"deepspeed --include localhost:{','.join(map(str, ranks.numbers))} SCRIPT"
    if sheet.kind == "cpu":
        started = f"torchrun {ranks.torchrun} SCRIPT"
    sheet.selection = {}
    sheet.cannot(
        f"Start it with {started}: train_batch_size is for {ranks.size} ranks, and DeepSpeed "
        "refuses another number."
    )
    if ranks.parallel == "ddp":
        sheet.cannot(
            f"{sheet.parallel_text}: torch's DistributedDataParallel was measured. DeepSpeed "
            "without ZeRO exchanges gradients after the backward pass instead, in buffers of up to "
            "500 million elements: expect more memory and a longer step."
        )
        sheet.take_parallel()
        sheet.take_ddp()
    if ranks.parallel == "tp":
        sheet.take_parallel()
        sheet.cannot(
            f"parallel=tp tensor_parallel={ranks.tensor_parallel}: divide the layers as the "
            "workload's parallelize(model, mesh) does, and give deepspeed.initialize an mpu of "
            f"{ranks.data_parallel} data-parallel × {ranks.tensor_parallel} tensor-parallel ranks."
        )
    return _zero(sheet, document) if ranks.shards else None


def _zero(sheet: Sheet, document: dict[str, Any]) -> str | None:
    sheet.take_parallel()
    sharding = sheet.take_sharding()
    zero: dict[str, Any] = {"stage": 3 if sharding.reshard else 2}
    if sharding.offload:
        zero["offload_optimizer"] = {"device": "cpu"}
        if sharding.reshard:
            zero["offload_param"] = {"device": "cpu"}
    document["zero_optimization"] = zero
    if sharding.reshard:
        sheet.cannot(
            "ZeRO stage 3 shards what FSDP2 shards (parameters, gradients, optimizer state), but "
            "fetches and keeps gathered parameters by rules of its own (stage3_… keys), which were "
            "not measured."
        )
    else:
        sheet.cannot(
            "fsdp_reshard=false: ZeRO stage 2 is the nearest. It keeps all parameters gathered all "
            "the time; FSDP2 kept them from a block's forward to its backward pass"
            + (", and sharded them in the host's memory otherwise." if sharding.offload else ".")
        )
    if sharding.dtype != "bf16":
        return None
    sheet.cannot(
        "fsdp_dtype=bf16: torch_autocast is the nearest: weights stay in fp32, and are computed "
        "with in bf16."
    )
    return "bf16"
