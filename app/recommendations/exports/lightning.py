"""A file for ``LightningCLI --config``: arguments of ``Trainer``, the module and the data module.

The format assumes that the data module has an argument ``batch_size``, and that the module has one
for each dimension of the config. LightningCLI reports an argument that does not exist.

Lightning's ``fsdp`` is the older FSDP. The FSDP2 that was measured, and tensor parallelism, are its
``ModelParallelStrategy`` (of Lightning 2.4 and later), which calls ``configure_model``.
"""

from __future__ import annotations

from typing import Any

from app.recommendations.exports.contract import Export, export_format
from app.recommendations.exports.ranks import Ranks
from app.recommendations.exports.sheet import Sheet, given
from optimizer.records import Recommendation
from probes.levers import LEVERS

_PRECISIONS = {"fp32": "32-true", "tf32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}
_ACCELERATORS = {"cpu": "cpu", "cuda": "gpu", "rocm": "gpu", "mps": "mps"}


@export_format("lightning", "LightningCLI's YAML")
def to_lightning(recommendation: Recommendation) -> Export:
    """The ``trainer`` and ``data`` of LightningCLI, as YAML."""
    sheet = Sheet(recommendation, "Lightning's Trainer")
    trainer: dict[str, Any] = {
        **given(accumulate_grad_batches=sheet.accumulation),
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
    if sheet.ranks is not None:
        trainer.update(_parallel_arguments(sheet, sheet.ranks))
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


def _parallel_arguments(sheet: Sheet, ranks: Ranks) -> dict[str, Any]:
    """How several devices train as one. Lightning starts the ranks itself."""
    arguments: dict[str, Any] = {
        "devices": ranks.numbers if ranks.selection else ranks.group.per_host,
        "num_nodes": ranks.group.hosts,
    }
    sheet.selection = {}
    if ranks.parallel == "ddp":
        sheet.take_parallel()
        given = sheet.take_ddp()
        arguments["strategy"] = (
            {"class_path": "lightning.pytorch.strategies.DDPStrategy", "init_args": given}
            if given
            else "ddp"
        )
    elif ranks.parallel is not None:
        arguments["strategy"] = {
            "class_path": "lightning.pytorch.strategies.ModelParallelStrategy",
            "init_args": {
                "data_parallel_size": ranks.data_parallel,
                "tensor_parallel_size": ranks.tensor_parallel,
            },
        }
        _configured_by_code(sheet, ranks)
    return arguments


def _configured_by_code(sheet: Sheet, ranks: Ranks) -> None:
    sheet.take_parallel()
    todo = []
    if ranks.parallel == "tp":
        todo.append(
            "divide the layers as the workload's parallelize(model, mesh) does, on "
            "self.device_mesh['tensor_parallel']"
        )
    if ranks.shards:
        sharding = sheet.take_sharding()
        calls = ranks.fsdp_calls(sharding, mesh="self.device_mesh['data_parallel']")
        todo.append(f"call {calls}")
        if sharding.offload and sheet.kind != "cpu":
            sheet.cannot(
                "fsdp_offload=true: Lightning moves the whole model to the device after "
                "configure_model(), so shards cannot stay in the host's memory; write the training "
                "loop yourself."
            )
    sheet.cannot(
        f"parallel={ranks.parallel}: the strategy makes the device mesh; your LightningModule "
        f"spreads its layers: in configure_model(), {'; then '.join(todo)}."
    )
