"""A workload from a Lightning module and its data."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from probes.adapters.adapter import Adapter, check_function
from probes.adapters.data import WorstCase
from probes.errors import InputError

PACKAGES = ("lightning.pytorch", "pytorch_lightning")
"""The two names under which Lightning is installed. Modules of one are none of the other."""


class _Pair(NamedTuple):
    module: Any
    data: Any
    """A data module, or a DataLoader."""


def from_lightning(
    make: Callable[[dict[str, Any]], Any],
    space: Mapping[str, Any],
    *,
    worst_case: WorstCase = None,
    evaluate: bool = True,
    data_files: Sequence[str | Path] = (),
) -> LightningWorkload:
    """The workload that trains what ``make(config)`` returns: a pair of ``LightningModule`` and
    ``LightningDataModule`` (or training DataLoader).

    ``training_step``, ``configure_optimizers``, ``configure_model``, the hooks around the transfer
    of a batch and the data module's ``train_dataloader`` are used as they are. There is no
    ``Trainer``: what it would be told (precision, accumulation) belongs into ``space`` as levers.
    ``evaluate``: also probe ``validation_step``, on a training batch. ``worst_case`` says how large
    a sample is, or names samples by their index; ``data_files`` are files that results depend on.

    Example::

        workload = from_lightning(
            lambda config: (Net(layers=config["layers"]), Digits()),
            space={"layers": [2, 4, 8], "precision": ["bf16"]},
        )
    """
    return LightningWorkload(
        make, space, worst_case=worst_case, evaluate=evaluate, data_files=data_files
    )


class LightningWorkload(Adapter):
    """See ``from_lightning``."""

    def __init__(
        self,
        make: Callable[[dict[str, Any]], Any],
        space: Mapping[str, Any],
        *,
        evaluate: bool,
        **data: Any,
    ) -> None:
        super().__init__(space, **data)
        check_function("make", make, "a LightningModule and its data")
        self._make = make
        self._packages = _installed()
        self._compiled: tuple[torch.nn.Module, Callable[..., Any]] | None = None
        if evaluate:
            self.evaluate = self._evaluate

    def build(self, config: dict[str, Any]) -> _Pair:
        made = self._make(config)
        if not isinstance(made, (tuple, list)) or len(made) != 2:
            raise InputError(
                f"make(config) returned a {type(made).__name__}; it must return two things: a "
                "LightningModule, and a LightningDataModule or a DataLoader."
            )
        module, data = made
        if not self._is_module(module):
            raise InputError(
                f"make(config) returned a {type(module).__name__} first; it must be a "
                "LightningModule."
            )
        if not module.automatic_optimization:
            raise InputError(
                f"{type(module).__name__} optimizes by itself (automatic_optimization=False), so a "
                "probe cannot tell its steps. Write a workload for it: docs/workloads.md."
            )
        if self._is_data_module(data):
            data.prepare_data()
            data.setup("fit")
        module.configure_model()
        return _Pair(module, data)

    def loader(self, built: _Pair) -> Any:
        return built.data.train_dataloader() if self._is_data_module(built.data) else built.data

    def model(self, config: dict[str, Any]) -> torch.nn.Module:
        module: torch.nn.Module = self.fresh(config).module
        return module

    def batches(self, config: dict[str, Any], batch_size: int) -> Iterator[Any]:
        before = self._hook("on_before_batch_transfer")
        return (before(batch, 0) for batch in super().batches(config, batch_size))

    def loss(self, model: torch.nn.Module, batch: Any) -> torch.Tensor:
        batch = self._hook("on_after_batch_transfer")(batch, 0)
        try:
            output = self._training_step(model)(batch, 0)
        except RuntimeError as error:
            if "not attached to a `Trainer`" not in str(error):
                raise
            raise InputError(
                "training_step asks for self.trainer, and a probe has no Trainer. Let it do "
                "without, or write a workload: docs/workloads.md."
            ) from error
        loss = output.get("loss") if isinstance(output, Mapping) else output
        if loss is None:
            raise InputError("training_step(batch, 0) returned no loss.")
        result: torch.Tensor = loss
        return result

    def optimizer(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        """The one of ``configure_optimizers``. Raises ``InputError`` for none, or several."""
        module, trainer = self.first().module, _LengthOfTraining()
        module.trainer = trainer  # schedulers ask it for their length
        try:
            configured = module.configure_optimizers()
        finally:
            module.trainer = None  # it would be logged to
        found = _optimizers(configured)
        if len(found) != 1:
            raise InputError(
                f"configure_optimizers() returned {len(found)} optimizers; a probe steps exactly "
                "one. Write a workload for it: docs/workloads.md."
            )
        return found[0]

    def _evaluate(self, model: torch.nn.Module, batch: Any) -> None:
        module = self.first().module
        base = next(
            p.LightningModule for p in self._packages if isinstance(module, p.LightningModule)
        )
        if type(module).validation_step is not base.validation_step:
            module.validation_step(self._hook("on_after_batch_transfer")(batch, 0), 0)

    def _training_step(self, model: torch.nn.Module) -> Callable[..., Any]:
        """Of the module; compiled where the probe compiled it, as Lightning does."""
        module = self.first().module
        step: Callable[..., Any] = module.training_step
        if model is module:
            return step
        if self._compiled is None or self._compiled[0] is not module:
            self._compiled = (module, torch.compile(step))
        return self._compiled[1]

    def _hook(self, name: str) -> Callable[[Any, int], Any]:
        """The data module's where it has one of its own, else the module's, as in Lightning."""
        module, data = self.first()
        if self._is_data_module(data):
            base = next(
                p.LightningDataModule
                for p in self._packages
                if isinstance(data, p.LightningDataModule)
            )
            if getattr(type(data), name) is not getattr(base, name):
                hook: Callable[[Any, int], Any] = getattr(data, name)
                return hook
        own: Callable[[Any, int], Any] = getattr(module, name)
        return own

    def _is_module(self, module: Any) -> bool:
        return isinstance(module, tuple(p.LightningModule for p in self._packages))

    def _is_data_module(self, data: Any) -> bool:
        return isinstance(data, tuple(p.LightningDataModule for p in self._packages))


class _LengthOfTraining:
    """Stands in for the ``Trainer`` while optimizers and schedulers are made: how long it trains,
    which no probe depends on, and that it is alone."""

    estimated_stepping_batches = max_steps = num_training_batches = 1000
    max_epochs = accumulate_grad_batches = world_size = num_devices = num_nodes = 1
    current_epoch = global_step = global_rank = local_rank = 0
    is_global_zero, sanity_checking, training = True, False, True
    logger = datamodule = None

    def __getattr__(self, name: str) -> Any:
        raise InputError(
            f"configure_optimizers asks for self.trainer.{name}, and a probe has no Trainer. Let "
            "it do without, or write a workload: docs/workloads.md."
        )


def _installed() -> list[Any]:
    """Lightning under each name that it has here. Imported now: later it counts as memory."""
    found = []
    for package in PACKAGES:
        try:
            found.append(importlib.import_module(package))
        except ModuleNotFoundError as error:
            if not package.startswith(str(error.name)):
                raise
    if not found:
        raise ModuleNotFoundError(
            "from_lightning needs Lightning in the interpreter that trains: pip install lightning",
            name="lightning",
        )
    return found


def _optimizers(configured: Any) -> list[torch.optim.Optimizer]:
    """Out of everything that ``configure_optimizers`` may return."""
    if configured is None:
        return []
    if isinstance(configured, Mapping):
        return [configured["optimizer"]]
    if isinstance(configured, (tuple, list)):
        if len(configured) == 2 and isinstance(configured[0], (tuple, list)):
            configured = configured[0]  # (optimizers, schedulers)
        return [one for each in configured for one in _optimizers(each)]
    return [configured]
