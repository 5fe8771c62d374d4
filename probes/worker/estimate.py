"""The analytic prior: the peak of a training step from its tensors alone, without computing it.

The real module is built, its parameters and buffers are swapped for fake ones (building under the
fake mode fails where a module copies itself), and the storages of one training step, with the
optimizer's state in place, are added up as they come and go. Fake operations cost about the same
whatever the batch, so the edge is approached in a few secant steps. On CPU tensors for every
device. torch's own ``MemTracker`` would tell modules and kinds of memory apart too, but looks
through everything alive after each operation, which takes many times as long.
"""

from __future__ import annotations

import time
import weakref
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from probes.curve import fit
from probes.devices import backend_for
from probes.devices.cpu import CpuBackend
from probes.errors import TonnageError
from probes.job import ProbeJob
from probes.levers.checkpointing import repeated_blocks
from probes.max_batch import LARGEST_JUMP, PROBE_AT
from probes.prior import Prior
from probes.worker.training import Training, batch_bytes
from probes.workloads.loading import load_workload

FIRST_BATCHES = (4, 16)
MOST_EVALUATIONS = 7
USUAL_EVALUATIONS = 4
MOST_SECONDS = 20.0
NEAR = 0.05
"""Close enough to the cap to stop, relative."""


def estimate(job: ProbeJob, ceiling: int) -> dict[str, Any]:
    """Predicted peaks up to the batch that reaches the job's cap, or ``ceiling``. Never raises:
    what cannot be estimated is a prior without points, with the reason."""
    began_s = time.monotonic()
    points: dict[int, int] = {}
    fake: _FakeTraining | None = None
    cap_bytes, reason = 0, ""
    try:
        workload = load_workload(job.workload).workload
        if why_not := getattr(workload, "no_estimate", ""):
            raise TonnageError(why_not)
        if job.group is not None:
            if job.config.get("parallel") == "tp":
                raise TonnageError("how the workload divides its layers is only known once it has")
            job = replace(job, device=job.group.devices[0])
        cap_bytes = _cap_bytes(job)  # after the imports, which are no part of what it limits
        batch: int | None = min(FIRST_BATCHES[0], ceiling)
        while batch is not None and batch not in points:
            fake = fake or _FakeTraining(workload, job, batch)
            step_began_s = time.monotonic()
            points[batch] = fake.peak_bytes(batch) + fake.exchange_bytes()
            now_s = time.monotonic()
            batch = _next_batch(points, cap_bytes, ceiling)
            if len(points) == MOST_EVALUATIONS:
                break
            # Half a curve would mislead: all of it, or none.
            left_s = (now_s - step_began_s) * max(1, USUAL_EVALUATIONS - len(points))
            if batch is not None and now_s - began_s + left_s > MOST_SECONDS:
                raise TonnageError("tracking one fake step takes too long to be worth it")
    except TonnageError as error:
        points, reason = {}, str(error)
    except Exception as error:
        points, reason = {}, f"{type(error).__name__}: {error}".partition("\n")[0][:300]
    if len(points) < 2 and not reason:
        reason = "one batch size says nothing about growth"
    rising: list[tuple[int, int]] = []
    for b, peak in sorted(points.items()):
        rising.append((b, max(peak, rising[-1][1]) if rising else peak))
    return Prior(
        rising if len(rising) > 1 else [], cap_bytes, reason, time.monotonic() - began_s
    ).to_dict()


def _next_batch(points: dict[int, int], cap_bytes: int, ceiling: int) -> int | None:
    """Where the curve so far reaches the cap, until a point is near it; then, if the curve is
    bent, the batch that the first probe will have. ``None`` at the end."""
    if len(points) < len(FIRST_BATCHES):
        return min(FIRST_BATCHES[len(points)], ceiling)
    curve = fit({b: float(y) for b, y in points.items()})
    assert curve is not None
    edge = min(curve.reaches(cap_bytes, ceiling), float(ceiling))
    if not any(abs(b / edge - 1) <= NEAR for b in points):
        return max(1, int(min(edge, LARGEST_JUMP * max(points))))
    middle = max(1, int(PROBE_AT * edge))
    known = Prior(sorted(points.items()))
    straight = abs(known.at(middle) / curve.trend(middle) - 1) <= NEAR
    return None if straight or any(abs(b / middle - 1) <= NEAR for b in points) else middle


def _cap_bytes(job: ProbeJob) -> int:
    """The job's cap; on the CPU, where building the model takes of it, enforced as in a probe."""
    backend = backend_for(job.device)
    if isinstance(backend, CpuBackend):
        return backend.apply_cap(job.limit_bytes, job.headroom).cap_bytes
    limit_bytes = job.limit_bytes or backend.facts().total_bytes
    return int(limit_bytes * (1 - job.headroom))


class _AnyDevice(CpuBackend):
    """CPU tensors in place of the job's device, which alone can say what it supports."""

    def precisions(self) -> dict[str, str]:
        return dict.fromkeys(super().precisions(), "")


class _FakeTraining:
    """A training whose tensors have shapes and no contents, with its optimizer state in place."""

    def __init__(self, workload: Any, job: ProbeJob, batch_size: int) -> None:
        if job.config.get("compile"):
            raise TonnageError("a compiled model cannot be tracked")
        torch.manual_seed(job.seed)
        self.mode = FakeTensorMode(allow_non_fake_inputs=True)
        self.training = Training(
            workload,
            replace(job, batch_size=batch_size),
            _AnyDevice("cpu"),
            adopt=self._adopt,
        )
        # A scaler looks at values, which fake tensors do not have; of memory it takes next to none.
        self.training.scaler = torch.amp.GradScaler("cpu", enabled=False)
        optimizer = self.training.optimizer
        with self.mode:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    def _adopt(self, model: torch.nn.Module) -> torch.nn.Module:
        adopted: dict[torch.nn.Parameter, torch.nn.Parameter] = {}  # tied ones stay one
        for module in model.modules():
            for name, parameter in list(module._parameters.items()):
                if parameter is None:
                    continue
                if parameter not in adopted:
                    fake = self.mode.from_tensor(parameter.detach())
                    adopted[parameter] = torch.nn.Parameter(fake, parameter.requires_grad)
                module._parameters[name] = adopted[parameter]
            for name, buffer in list(module._buffers.items()):
                if buffer is not None:
                    module._buffers[name] = self.mode.from_tensor(buffer)
        return model

    def peak_bytes(self, batch_size: int) -> int:
        """Most bytes alive at once in one training step on the worst case of this batch size."""
        training = self.training
        training.use_batch_size(batch_size)
        # Gradients lie beside the activations from the second micro-batch on; more change nothing.
        training.accumulation = min(training.accumulation, 2)
        state = training.optimizer.state.values()
        static = [*training.model.parameters(), *training.model.buffers()]
        static += [v for values in state for v in values.values() if isinstance(v, torch.Tensor)]
        tracker = _PeakTracker(static)
        with self.mode, tracker:
            training.step()
            training.optimizer.zero_grad(set_to_none=True)
        return tracker.peak_bytes + batch_bytes(training.worst)

    def exchange_bytes(self) -> int:
        """What a rank holds more, or less where that is negative, than a device that trains alone.

        DDP keeps a copy of the gradients in its buckets. FSDP keeps a share of parameters,
        gradients and optimizer state, and gathers two blocks at a time, with the gradients of one,
        and the rest of the model from the forward pass until the backward pass is over.
        """
        job, model = self.training.job, self.training.model
        if job.group is None:
            return 0
        parameters = _bytes_of(model.parameters())
        gradients = _bytes_of(p for p in model.parameters() if p.requires_grad)
        if job.config.get("parallel", "ddp") == "ddp":
            return 0 if job.config.get("ddp_bucket_view") else gradients
        state = sum(
            _bytes_of(v for v in values.values() if isinstance(v, torch.Tensor))
            for values in self.training.optimizer.state.values()
        )
        blocks = [_bytes_of(block.parameters()) for block in repeated_blocks(model)]
        rest = parameters - sum(blocks)
        gathered = rest + 2 * max(blocks, default=0) + max([rest, *blocks])
        if not job.config.get("fsdp_reshard", True):
            gathered = parameters + max([rest, *blocks])
        away = (parameters + gradients + state) * (1 - 1 / job.data_parallel)
        return int(gathered - away)


class _PeakTracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the storages that operations make, and takes off those that are freed."""

    def __init__(self, static: list[torch.Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live_bytes = 0
        self.peak_bytes = 0
        self._known: set[int] = set()
        for tensor in static:
            self._see(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._see(leaf)
        return result

    def _see(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self.live_bytes += storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)
        # The storage's Python object lives as long as the storage itself, autograd's included.
        weakref.finalize(storage, self._forget, key, storage.nbytes())

    def _forget(self, key: int, size_bytes: int) -> None:
        self._known.discard(key)
        self.live_bytes -= size_bytes


def _bytes_of(tensors: Iterable[torch.Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
