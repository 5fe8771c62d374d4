"""DeepSpeed's JSON, without ZeRO, as one device was measured.

Precision goes under ``torch_autocast``, which is what was measured: weights in fp32, autocast
around the loss, and loss scaling for fp16. DeepSpeed's ``bf16`` and ``fp16`` keep the weights in
halves, which is another training with other memory.
"""

from __future__ import annotations

from typing import Any

from app.recommendations.exports.contract import Export, export_format
from app.recommendations.exports.sheet import Sheet
from optimizer.records import Recommendation

NOTE_KEY = "tonnage"
"""DeepSpeed reads the keys it knows from the top level, and leaves others alone."""

_DTYPES = {"bf16": "bfloat16", "fp16": "float16"}


@export_format("deepspeed", "DeepSpeed's JSON")
def to_deepspeed(recommendation: Recommendation) -> Export:
    sheet = Sheet(recommendation, "DeepSpeed's JSON")
    document: dict[str, Any] = {
        "train_micro_batch_size_per_gpu": recommendation.batch_size,
        "gradient_accumulation_steps": recommendation.accumulation,
        "zero_optimization": {"stage": 0},
    }
    precision = sheet.take("precision")
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
    sheet.cannot(
        "Measured on one device without ZeRO: train_batch_size follows from the number of devices, "
        "and a higher stage or offloading changes memory and time."
    )
    return sheet.json(document, NOTE_KEY)
