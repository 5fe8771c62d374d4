"""A training run of a workload, one optimizer step at a time: what a user's own loop would do."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, MutableMapping
from contextlib import nullcontext
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch

from probes import levers
from probes.devices.base import Backend
from probes.errors import InputError
from probes.job import WORST_CASE_STEPS, ProbeJob
from probes.levers import channels_last, checkpointing, compilation, optimizer_impl, precision
from probes.ranks import parallel
from probes.ranks.team import Alone, Team
from probes.worker.returned import batches_of, check_loss, model_of, optimizer_of

FIRST_STEP_TRIES = 20
"""A gradient scaler begins high and skips steps until it is low enough: at most this
many."""


class DataEndedError(InputError):
    """``batches()`` is not endless at this batch size."""


class Training:
    """Model, optimizer and batches of one config, built on the device.

    ``adopt`` may replace what the model is made of before the optimizer sees it. Raises
    ``InputError`` where a method of the workload returned the wrong thing, naming it, and
    ``UnsupportedError`` where device or model cannot do what a lever asks for.
    """

    def __init__(
        self,
        workload: Any,
        job: ProbeJob,
        backend: Backend,
        adopt: Callable[[torch.nn.Module], torch.nn.Module] = lambda model: model,
        team: Alone | None = None,
    ) -> None:
        self.workload = workload
        self.job = job
        self.team = team or Alone()
        self.at = "build"
        """What the run is doing: ``data``, ``forward``, ``backward``, ``optimizer``, …"""
        self.device = backend.torch_device
        self.levers = levers.selected(job.config)
        self.autocast_kind = backend.autocast_kind()
        precision.prepare(self.levers, backend)
        self.model, self.notes = self._model(adopt, backend)
        self.model.train()
        self.optimizer = self._optimizer()
        self.exchanges = True
        """Whether gradients are exchanged with the other ranks at the end of a step."""
        self.spread = parallel.spread(self.model, workload.loss, self.team, self.levers, self.notes)
        if isinstance(self.team, Team):
            self.team.seed(job.seed)
        self.scaler = precision.gradient_scaler(self.levers, self.autocast_kind)
        self._scale = self.scaler.get_scale()
        self._has_stepped = not self.scaler.is_enabled()
        self.use_batch_size(job.batch_size)

    def use_batch_size(self, batch_size: int) -> None:
        """Start over with batches of this size; model and optimizer stay as they are."""
        self.batch_size = batch_size
        self.accumulation = replace(self.job, batch_size=batch_size).accumulation
        self.batches = batches_of(self.workload, self.job.config, batch_size)
        self.fetched = 0
        self.worst = self._fetch()
        for _ in range(self.team.data_rank):  # each rank is elsewhere in the data
            self._fetch()
        self._replays = WORST_CASE_STEPS * self.accumulation

    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.model.parameters())

    @property
    def can_evaluate(self) -> bool:
        return callable(getattr(self.workload, "evaluate", None))

    def replay_worst_case(self) -> None:
        """Let the coming steps train on the worst-case batch again."""
        self._replays = WORST_CASE_STEPS * self.accumulation

    def step(self, on_micro_batch: Callable[[], None] = lambda: None) -> tuple[float, torch.Tensor]:
        """One optimizer step. Returns (seconds spent waiting for batches, detached mean loss).

        The first one with a gradient scaler goes on until the scaler skips no more: only then the
        optimizer has its state.
        """
        waited_s, loss = self._try_step(on_micro_batch)
        for _ in range(FIRST_STEP_TRIES):
            if self._has_stepped or self.scaler.get_scale() >= self._scale:
                break
            self._scale = self.scaler.get_scale()
            self.replay_worst_case()
            more_s, loss = self._try_step(on_micro_batch)
            waited_s += more_s
        self._has_stepped = True
        return waited_s, loss

    def _try_step(self, on_micro_batch: Callable[[], None]) -> tuple[float, torch.Tensor]:
        waited_s = 0.0
        total: torch.Tensor | None = None
        self.optimizer.zero_grad(set_to_none=True)
        for left in reversed(range(self.accumulation)):
            on_micro_batch()
            self.at = "data"
            began_s = time.perf_counter()
            batch = self._next_batch()
            waited_s += time.perf_counter() - began_s
            batch = self._on_device(batch)
            is_last = left == 0 and self.exchanges
            with nullcontext() if is_last else self.spread.without_exchange():
                self.at = "forward"
                with precision.autocast(self.levers, self.autocast_kind):
                    loss = self.spread.loss(batch)
                check_loss(loss)
                self.at = "backward"
                share = loss / self.accumulation
                if self.team.weight != 1.0:
                    share = share * self.team.weight
                self.scaler.scale(share).backward()  # type: ignore[no-untyped-call]
            total = loss.detach() if total is None else total + loss.detach()
        self.at = "optimizer"
        self.scaler.step(self.optimizer)
        self.scaler.update()
        assert total is not None
        return waited_s, total / self.accumulation

    def next_batch(self) -> Any:
        """The batch that would come next, on the device."""
        return self._on_device(self._fetch())

    def worst_batch(self) -> Any:
        """The batch that needs the most memory, on the device."""
        return self._on_device(self.worst)

    def evaluate(self) -> None:
        """The validation phase on the worst-case batch, without gradients."""
        self.model.eval()
        with torch.no_grad(), precision.autocast(self.levers, self.autocast_kind):
            self.workload.evaluate(self.model, self._on_device(self.worst))
        self.model.train()

    def checkpoint(self) -> None:
        """Serialise model and optimizer the way a checkpoint does, to nowhere."""
        state = {"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()}
        if isinstance(self.team, Team):
            state = parallel.local_state(state)
        torch.save(state, _NullSink())  # type: ignore[arg-type]

    def _model(
        self, adopt: Callable[[torch.nn.Module], torch.nn.Module], backend: Backend
    ) -> tuple[torch.nn.Module, tuple[str, ...]]:
        on_host = isinstance(self.team, Team) and parallel.is_built_on_host(self.levers)
        with backend.host_memory() if on_host else nullcontext():
            model = model_of(self.workload, self.job.config)
            if not on_host:
                model = model.to(self.device)
            if self.levers.get("channels_last"):
                channels_last.convert(model)
            model = adopt(model)
            if self.levers.get("gradient_checkpointing"):
                checkpointing.enable(model)
            model, notes = parallel.sharded(self.workload, model, self.team, self.levers)
        return (compilation.compiled(model) if self.levers.get("compile") else model), notes

    def _optimizer(self) -> torch.optim.Optimizer:
        optimizer = optimizer_of(self.workload, self.model)
        optimizer_impl.use(optimizer, self.levers.get("optimizer_impl", "default"))
        return optimizer

    def _on_device(self, batch: Any) -> Any:
        batch = to_device(batch, self.device)
        if self.levers.get("channels_last"):
            return to_channels_last(batch)
        return batch

    def _fetch(self) -> Any:
        try:
            batch = next(self.batches)
        except StopIteration:
            raise DataEndedError(
                f"batches(config, batch_size={self.batch_size}) ended: it gave "
                f"{self.fetched:,}, and it must be endless. Loop over your data with `while True:`."
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

    def move(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor):
            return leaf.to(device, non_blocking=True)
        return leaf.to(device)

    return _map(batch, move)


def batch_bytes(batch: Any) -> int:
    """What the tensors of a batch take; 0 where it has none, or they are not to be found."""
    found: list[int] = []

    def count(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor):
            found.append(leaf.nbytes)
        elif isinstance(leaf, Mapping):  # what tokenisers return
            _map(dict(leaf), count)
        elif callable(apply := getattr(leaf, "apply", None)):  # batches of graphs
            apply(count)
        return leaf

    _map(batch, count)
    return sum(found)


def to_channels_last(batch: Any) -> Any:
    """Store the images of a batch that way, wherever they are in it."""

    def reorder(leaf: Any) -> Any:
        if isinstance(leaf, torch.Tensor):
            return channels_last.reordered(leaf)
        if isinstance(leaf, MutableMapping):  # what processors of images return
            for key, value in leaf.items():
                leaf[key] = _map(value, reorder)
        return leaf

    return _map(batch, reorder)


def _map(batch: Any, change: Callable[[Any], Any]) -> Any:
    """A batch with its tensors, and what else has a ``.to`` of its own, changed."""
    if hasattr(batch, "to"):
        return change(batch)
    if isinstance(batch, Mapping):
        return {key: _map(value, change) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(_map(value, change) for value in batch))
    if isinstance(batch, (list, tuple)):
        return type(batch)(_map(value, change) for value in batch)
    if is_dataclass(batch) and not isinstance(batch, type):
        changed = {f.name: _map(getattr(batch, f.name), change) for f in fields(batch)}
        return replace(batch, **changed)
    return batch
