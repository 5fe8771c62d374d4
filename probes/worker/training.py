"""A training run of a workload, one optimizer step at a time: what a user's own loop would do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch

from probes import levers
from probes.devices.base import Backend
from probes.errors import InputError
from probes.job import ProbeJob
from probes.workloads.interface import default_optimizer


class DataEndedError(InputError):
    """``batches()`` is not endless at this batch size."""


class Training:
    """Model, optimizer and batches of one config, built on the device.

    ``adopt`` may replace what the model is made of before the optimizer sees it. Raises
    ``InputError`` where a method of the workload returned the wrong thing, naming it.
    """

    def __init__(
        self,
        workload: Any,
        job: ProbeJob,
        backend: Backend,
        adopt: Callable[[torch.nn.Module], torch.nn.Module] = lambda model: model,
    ) -> None:
        self.workload = workload
        self.job = job
        self.device = backend.torch_device
        self.levers = levers.selected(job.config)
        self.accumulation = int(self.levers.get("accumulation", job.accumulation))
        self.autocast_kind = backend.autocast_kind()
        model = workload.model(dict(job.config))
        if not isinstance(model, torch.nn.Module):
            raise _wrong("model(config)", model, "a torch.nn.Module")
        self.model = levers.prepare_model(adopt(model.to(self.device)), self.levers)
        self.model.train()
        self.optimizer = self._optimizer()
        self.scaler = levers.gradient_scaler(self.levers, self.autocast_kind)
        self.use_batch_size(job.batch_size)

    def use_batch_size(self, batch_size: int) -> None:
        """Start over with batches of this size; model and optimizer stay as they are."""
        self.batch_size = batch_size
        self.batches = self._batches()
        self.fetched = 0
        self.worst = self._fetch()
        self._replays = self.worst_case_steps() * self.accumulation

    def worst_case_steps(self) -> int:
        """Optimizer steps on the worst-case batch: before and after the optimizer state exists."""
        return 2

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    @property
    def can_evaluate(self) -> bool:
        return callable(getattr(self.workload, "evaluate", None))

    def replay_worst_case(self) -> None:
        """Let the coming steps train on the worst-case batch again."""
        self._replays = self.worst_case_steps() * self.accumulation

    def step(self) -> tuple[float, torch.Tensor]:
        """One optimizer step. Returns (seconds spent waiting for batches, detached mean loss)."""
        waited_s = 0.0
        total: torch.Tensor | None = None
        self.optimizer.zero_grad(set_to_none=True)
        for _ in range(self.accumulation):
            began_s = time.perf_counter()
            batch = self._next_batch()
            waited_s += time.perf_counter() - began_s
            batch = to_device(batch, self.device)
            with levers.autocast(self.levers, self.autocast_kind):
                loss = self.workload.loss(self.model, batch)
            _check_loss(loss)
            self.scaler.scale(loss / self.accumulation).backward()
            total = loss.detach() if total is None else total + loss.detach()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        assert total is not None
        return waited_s, total / self.accumulation

    def evaluate(self) -> None:
        """The validation phase on the worst-case batch, without gradients."""
        self.model.eval()
        with torch.no_grad(), levers.autocast(self.levers, self.autocast_kind):
            self.workload.evaluate(self.model, to_device(self.worst, self.device))
        self.model.train()

    def checkpoint(self) -> None:
        """Serialise model and optimizer the way a checkpoint does, to nowhere."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(state, _NullSink())  # type: ignore[arg-type]

    def _optimizer(self) -> torch.optim.Optimizer:
        make = getattr(self.workload, "optimizer", None)
        optimizer = make(self.model) if callable(make) else default_optimizer(self.model)
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise _wrong("optimizer(model)", optimizer, "a torch.optim.Optimizer")
        return optimizer

    def _batches(self) -> Iterator[Any]:
        batches = self.workload.batches(dict(self.job.config), self.batch_size)
        try:
            return iter(batches)
        except TypeError:
            raise _wrong("batches(config, batch_size)", batches, "an endless iterator") from None

    def _fetch(self) -> Any:
        try:
            batch = next(self.batches)
        except StopIteration:
            raise DataEndedError(
                f"batches(config, batch_size={self.batch_size}) ended after {self.fetched} "
                "batches; it must be endless. Loop over your data with `while True:`."
            ) from None
        self.fetched += 1
        return batch

    def _next_batch(self) -> Any:
        if self._replays:
            self._replays -= 1
            return self.worst
        return self._fetch()


class _NullSink:
    """A binary file that forgets what is written to it."""

    def write(self, data: Any) -> int:
        return len(data)

    def flush(self) -> None:
        pass


def to_device(batch: Any, device: torch.device) -> Any:
    """Move every tensor of a batch: tensors, mappings, sequences, dataclasses, own ``.to``."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device, non_blocking=True)
    if isinstance(batch, Mapping):
        moved = {key: to_device(value, device) for key, value in batch.items()}
        return moved if type(batch) is dict or not hasattr(batch, "to") else batch.to(device)
    if hasattr(batch, "to"):
        return batch.to(device)
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(value, device) for value in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(to_device(value, device) for value in batch)
    if is_dataclass(batch) and not isinstance(batch, type):
        moved = {f.name: to_device(getattr(batch, f.name), device) for f in fields(batch)}
        return replace(batch, **moved)
    return batch


def _check_loss(loss: Any) -> None:
    if not isinstance(loss, torch.Tensor):
        raise _wrong("loss(model, batch)", loss, "a scalar tensor")
    if loss.dim() != 0 and loss.numel() != 1:
        raise InputError(
            f"loss(model, batch) returned a tensor of shape {tuple(loss.shape)}; it must be a "
            "scalar. Reduce it, for example with .mean()."
        )
    if not loss.requires_grad:
        raise InputError(
            "loss(model, batch) returned a tensor without a gradient: it does not depend on the "
            "model's parameters, or it was detached or computed under no_grad()."
        )


def _wrong(method: str, returned: Any, expected: str) -> InputError:
    return InputError(f"{method} returned a {type(returned).__name__}; it must return {expected}.")
