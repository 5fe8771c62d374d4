"""A training run of any workload for one of these questions: seeded, under the memory cap."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from probes.devices import backend_for
from probes.job import BRACKET_PLAN, ProbeJob, WorkloadRef
from probes.levers import compilation
from probes.worker.channel import Channel
from probes.worker.training import Training
from probes.workloads.loading import load_workload

CHECK_EVERY = 10
"""Steps between looks at the loss: each waits for the device."""


def job_of(arguments: Mapping[str, Any], **changes: Any) -> ProbeJob:
    """The job that arguments describe: ``workload``, ``config``, ``batch_size``, ``device``,
    ``seed``, and where they are given ``limit_bytes`` and ``headroom``."""
    known = ("config", "batch_size", "device", "seed", "limit_bytes", "headroom")
    given = {name: arguments[name] for name in known if name in arguments}
    workload = arguments["workload"]
    reference = WorkloadRef(workload["spec"], dict(workload.get("options", {})))
    return ProbeJob(**{"workload": reference, "plan": BRACKET_PLAN, **given, **changes})


def begin(job: ProbeJob, channel: Channel) -> Training:
    """Model, optimizer and batches, from the job's seed. A workload that has a ``seed`` of its own,
    for its batches or adapters, gets it too. Raises what the workload raises."""
    channel.progress("import")
    torch.manual_seed(job.seed)
    workload = load_workload(job.workload).workload
    if hasattr(workload, "seed"):
        workload.seed = job.seed
    backend = backend_for(job.device)
    backend.initialise()
    if job.config.get("compile"):
        compilation.preload()
    backend.apply_cap(job.limit_bytes, job.headroom)
    channel.progress("build")
    torch.manual_seed(job.seed)  # loading has drawn numbers, not as many for every config
    return Training(workload, job, backend)


def train(training: Training, steps: int, channel: Channel) -> float:
    """Train for ``steps`` optimizer steps; returns the last loss. Ends early where the loss is not
    a finite number any more."""
    last = math.nan
    for step in range(steps):
        channel.progress("train", step, steps)
        _, loss = training.step()
        if step % CHECK_EVERY == 0 or step == steps - 1:
            last = float(loss)
            if not math.isfinite(last):
                break
    return last
