"""A file for ``LightningCLI --config``: arguments of ``Trainer``, the module and the data module.

The format assumes that the data module has an argument ``batch_size``, and that the module has one
for each dimension of the config. LightningCLI reports an argument that does not exist.
"""

from __future__ import annotations

from typing import Any

from app.recommendations.exports.contract import Export, export_format
from app.recommendations.exports.sheet import Sheet
from optimizer.records import Recommendation
from probes.levers import LEVERS

_PRECISIONS = {"fp32": "32-true", "tf32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
_ACCELERATORS = {"cpu": "cpu", "cuda": "gpu", "rocm": "gpu", "mps": "mps"}


@export_format("lightning", "LightningCLI's YAML")
def to_lightning(recommendation: Recommendation) -> Export:
    sheet = Sheet(recommendation, "Lightning's Trainer")
    trainer: dict[str, Any] = {
        "accumulate_grad_batches": recommendation.accumulation,
        "devices": 1,
    }
    if sheet.kind in _ACCELERATORS:
        trainer["accelerator"] = _ACCELERATORS[sheet.kind]
    else:
        sheet.cannot(f"device={recommendation.device}: Lightning has no accelerator of that kind.")
    precision = sheet.take("precision")
    if precision is not None:
        trainer["precision"] = _PRECISIONS[precision]
    if precision in ("fp32", "tf32"):
        sheet.left["precision"] = precision
    document: dict[str, Any] = {
        "trainer": trainer,
        "data": {"batch_size": recommendation.batch_size},
    }
    dimensions = {name: value for name, value in sheet.left.items() if name not in LEVERS}
    for name in dimensions:
        sheet.take(name)
    if dimensions:
        document["model"] = dimensions
        sheet.cannot(
            "The keys under model are arguments of your LightningModule. Move those that your data "
            "module takes to data."
        )
    return sheet.yaml(document)
