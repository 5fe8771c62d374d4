"""The workload interface: what a user writes, in their own file, with no import of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from probes.errors import InputError

if TYPE_CHECKING:
    import torch

REQUIRED = {
    "space": "a dict from dimension name to a range or a list of options",
    "model": "a torch.nn.Module built for the config",
    "batches": "an endless iterator of CPU batches of batch_size samples, the worst case first",
    "loss": "a scalar tensor that backward() can be called on",
}
"""Methods every workload has, and what each returns."""


class Workload:
    """Optional base class. A workload needs ``space``, ``model``, ``batches`` and ``loss``.

    Example::

        class MyWorkload(Workload):
            dataset_size = 50_000

            def space(self):
                return {"layers": range(2, 13), "width": [64, 128, 256]}

            def model(self, config):
                return Net(config["layers"], config["width"])

            def batches(self, config, batch_size):
                while True:
                    yield torch.randn(batch_size, 32)

            def loss(self, model, batch):
                return model(batch).mean()

    ``evaluate(model, batch)`` and ``capacity(config)``, a number that is larger for a better model
    (parameters, without it), may be added; so may ``no_estimate``, the reason why a step cannot be
    followed on tensors without contents: nothing is then lost on trying to. ``parallelize(model,
    mesh)`` shards the model where several devices train as one (see ``docs/ranks.md``).
    """

    dataset_size: int | None = None
    """Number of training samples; a batch is never larger."""

    def space(self) -> dict[str, Any]:
        raise NotImplementedError(f"space() must return {REQUIRED['space']}.")

    def model(self, config: dict[str, Any]) -> torch.nn.Module:
        raise NotImplementedError(f"model(config) must return {REQUIRED['model']}.")

    def batches(self, config: dict[str, Any], batch_size: int) -> Iterator[Any]:
        raise NotImplementedError(f"batches(config, batch_size) must return {REQUIRED['batches']}.")

    def loss(self, model: torch.nn.Module, batch: Any) -> torch.Tensor:
        raise NotImplementedError(f"loss(model, batch) must return {REQUIRED['loss']}.")

    def optimizer(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """AdamW with its defaults over the trainable parameters."""
        return default_optimizer(model)


def default_optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
    import torch

    return torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])


def check_interface(workload: object, reference: str) -> None:
    """Raise ``InputError`` naming every required method that is missing."""
    missing = [
        name
        for name in REQUIRED
        if not callable(getattr(workload, name, None))
        or getattr(type(workload), name, None) is getattr(Workload, name)
    ]
    if missing:
        lines = "\n".join(f"  {name}(): must return {REQUIRED[name]}" for name in missing)
        raise InputError(f"{reference} is not a workload. It lacks:\n{lines}")
