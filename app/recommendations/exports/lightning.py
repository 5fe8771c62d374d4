"""What ``LightningCLI`` reads with ``--config``: arguments of ``Trainer``, module and data module.

The data module is taken to have an argument ``batch_size``, and the module one for each dimension
of the config. LightningCLI itself refuses an argument that they do not have.
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
            "Under model are arguments of your LightningModule; move what your data module takes "
            "to data."
        )
    return sheet.yaml(document)
