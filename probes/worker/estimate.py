"""The analytic prior: the peak of a training step from its tensors alone, without computing it.

The real module is built, its parameters and buffers are swapped for fake ones (building under the
fake mode fails where a module copies itself), and two optimizer steps are tracked; the second has
the optimizer's state. Fake operations cost about the same whatever the batch, so the edge is
approached in a few secant steps. The method is torch's own ``MemTracker`` under a
``FakeTensorMode``, on CPU tensors for every device.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import torch

from probes.devices import backend_for
from probes.devices.cpu import CpuBackend
from probes.errors import TonnageError
from probes.job import ProbeJob
from probes.max_batch import LARGEST_JUMP, PROBE_AT
from probes.prior import Prior
from probes.worker.training import Training
from probes.workloads.loading import load_workload

FIRST_BATCHES = (4, 16)
MOST_EVALUATIONS = 7
MOST_SECONDS = 20.0
NEAR = 0.05
"""Close enough to the cap to stop, relative."""


def estimate(job: ProbeJob, ceiling: int) -> dict[str, Any]:
    """Predicted peaks up to the batch that reaches the job's cap, or ``ceiling``. Never raises:
    what cannot be estimated is a prior without points, with the reason."""
    began_s = time.monotonic()
    points: dict[int, int] = {}
    cap_bytes, reason = 0, ""
    try:
        cap_bytes = _cap_bytes(job)
        workload = load_workload(job.workload).workload
        batch: int | None = min(FIRST_BATCHES[0], ceiling)
        while batch is not None and batch not in points:
            points[batch] = _peak_bytes(workload, job, batch)
            if len(points) == MOST_EVALUATIONS or time.monotonic() - began_s > MOST_SECONDS:
                break
            batch = _next_batch(points, cap_bytes, ceiling)
    except TonnageError as error:
        reason = str(error)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0][:300]
    if len(points) < 2 and not reason:
        reason = "one batch size says nothing about growth"
    rising: list[tuple[int, int]] = []
    for b, peak in sorted(points.items()):
        rising.append((b, max(peak, rising[-1][1]) if rising else peak))
    return Prior(
        rising if len(rising) > 1 else [], cap_bytes, reason, time.monotonic() - began_s
    ).to_dict()


def _next_batch(points: dict[int, int], cap_bytes: int, ceiling: int) -> int | None:
    """Where the line through the two largest points reaches the cap, until one is near it; then,
    if the curve is bent, the middle, where the first probe will go. ``None`` at the end."""
    if len(points) < len(FIRST_BATCHES):
        return min(FIRST_BATCHES[len(points)], ceiling)
    known = sorted(points.items())
    (b1, y1), (b2, y2) = known[-2:]
    slope = (y2 - y1) / (b2 - b1)
    if b2 < ceiling and y2 < cap_bytes * (1 - NEAR):
        edge = b2 + (cap_bytes - y2) / slope if slope > 0 else ceiling
        return int(min(edge + 1, LARGEST_JUMP * b2, ceiling))
    edge = min(float(b2), b2 + (cap_bytes - y2) / slope) if slope > 0 else b2
    middle = int(PROBE_AT * edge)
    if len(known) > 2 and any(abs(b / middle - 1) < NEAR for b in points):
        return None
    before = known[-3] if len(known) > 2 else known[0]
    earlier = (y1 - before[1]) / (b1 - before[0]) if b1 > before[0] else slope
    return middle if abs(slope - earlier) > NEAR * slope and middle > 0 else None


def _cap_bytes(job: ProbeJob) -> int:
    """The job's cap; on the CPU, where building the model takes of it, enforced as in a probe."""
    backend = backend_for(job.device)
    if isinstance(backend, CpuBackend):
        return backend.apply_cap(job.limit_bytes, job.headroom).cap_bytes
    limit_bytes = job.limit_bytes or backend.facts().total_bytes
    return int(limit_bytes * (1 - job.headroom))


def _peak_bytes(workload: Any, job: ProbeJob, batch_size: int) -> int:
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.distributed._tools.mem_tracker import MemTracker

    if job.config.get("compile"):
        raise TonnageError("a compiled model cannot be tracked")
    torch.manual_seed(job.seed)
    mode = FakeTensorMode(allow_non_fake_inputs=True)

    def adopt(model: torch.nn.Module) -> torch.nn.Module:
        for module in model.modules():
            for name, parameter in list(module._parameters.items()):
                if parameter is not None:
                    fake = mode.from_tensor(parameter.detach())
                    module._parameters[name] = torch.nn.Parameter(fake, parameter.requires_grad)
            for name, buffer in list(module._buffers.items()):
                if buffer is not None:
                    module._buffers[name] = mode.from_tensor(buffer)
        return model

    training = Training(
        workload, replace(job, batch_size=batch_size), CpuBackend("cpu"), adopt=adopt
    )
    tracker: Any = MemTracker()
    with mode:
        tracker.track_external(training.model, training.optimizer)
        with tracker:
            training.step()
            tracker.reset_mod_stats()
            training.step()
    peak = int(tracker.get_tracker_snapshot("peak")[torch.device("cpu")]["Total"])
    return peak + _tensor_bytes(training.worst)


def _tensor_bytes(batch: Any) -> int:
    """Bytes of the tensors of a batch. They are real, and the tracker sees fake ones only."""
    from torch.utils._pytree import tree_leaves

    if callable(apply := getattr(batch, "apply", None)):  # batches of graphs
        sizes: list[int] = []

        def note(tensor: torch.Tensor) -> torch.Tensor:
            sizes.append(tensor.nbytes)
            return tensor

        apply(note)
        return sum(sizes)
    return sum(leaf.nbytes for leaf in tree_leaves(batch) if isinstance(leaf, torch.Tensor))
