"""A workload from a torch ``DataLoader`` and a training step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from probes.adapters.adapter import Adapter, check_function
from probes.adapters.data import WorstCase
from probes.workloads.interface import default_optimizer


def from_dataloader(
    loader: Any,
    *,
    model: Callable[[dict[str, Any]], torch.nn.Module],
    step: Callable[[torch.nn.Module, Any], torch.Tensor],
    space: Mapping[str, Any],
    optimizer: Callable[[torch.nn.Module], torch.optim.Optimizer] | None = None,
    evaluate: Callable[[torch.nn.Module, Any], Any] | None = None,
    worst_case: WorstCase = None,
    data_files: Sequence[str | Path] = (),
) -> DataLoaderWorkload:
    """The workload that trains ``model(config)`` on the data of ``loader``.

    ``loader`` is a DataLoader, or a function of the config that returns one; its batch size
    is ignored. ``step(model, batch)`` returns the loss and does not call ``backward``. The
    optimizer is AdamW unless ``optimizer(model)`` says otherwise. ``worst_case`` says how large a
    sample is, or names samples by their index; ``data_files`` are files that results depend on.

    Example::

        workload = from_dataloader(
            DataLoader(texts, collate_fn=pad),
            model=lambda config: Net(config["layers"]),
            step=lambda model, batch: cross_entropy(model(batch["x"]), batch["y"]),
            space={"layers": range(2, 9)},
        )
    """
    return DataLoaderWorkload(
        loader,
        model=model,
        step=step,
        space=space,
        optimizer=optimizer,
        evaluate=evaluate,
        worst_case=worst_case,
        data_files=data_files,
    )


class DataLoaderWorkload(Adapter):
    """See ``from_dataloader``. What it builds for a config is the loader."""

    def __init__(
        self,
        loader: Any,
        *,
        model: Callable[[dict[str, Any]], torch.nn.Module],
        step: Callable[[torch.nn.Module, Any], torch.Tensor],
        space: Mapping[str, Any],
        optimizer: Callable[[torch.nn.Module], torch.optim.Optimizer] | None,
        evaluate: Callable[[torch.nn.Module, Any], Any] | None,
        worst_case: WorstCase,
        data_files: Sequence[str | Path],
    ) -> None:
        super().__init__(space, worst_case=worst_case, data_files=data_files)
        check_function("model", model, "a torch.nn.Module")
        self._loader = loader
        self.model = model
        self.loss = step
        self.optimizer = optimizer or default_optimizer
        if evaluate is not None:
            self.evaluate = evaluate

    def build(self, config: dict[str, Any]) -> Any:
        is_function = callable(self._loader) and not hasattr(self._loader, "dataset")
        return self._loader(config) if is_function else self._loader

    def loader(self, built: Any) -> Any:
        return built
