"""Is a request one that can be run? Everything that can be told without a device."""

from __future__ import annotations

import math
from collections.abc import Collection

from app.jobs.records import StudyRequest
from app.settings import Settings
from app.workloads import registry
from optimizer.budgets import Objective, budget_named
from optimizer.proposals import Sampler
from probes import effective_batch
from probes.errors import InputError
from probes.levers import LEVERS
from probes.space import unknown_name

LONGEST_NAME = 255
SMALLEST_MEMORY_BYTES = 2**20


def check(settings: Settings, request: StudyRequest, offered: Collection[str] = ()) -> None:
    """Raises ``NotRegistered`` or ``InputError`` for a request that no runner could run.

    ``offered`` are the workloads of the runners there are: what one of them has registered and
    this host has not is checked by that runner.
    """
    known = registry.registered(settings)
    if request.workload in known or request.workload not in offered:
        registry.find(settings, request.workload).asked(request.options)
    budget_named(request.budget, settings.budget_table())
    device, memory = request.device, request.memory_budget_bytes
    if device is not None and not 0 < len(device.strip()) <= LONGEST_NAME:
        raise InputError(
            "device: name one as GET /v1/devices does (cuda:0, a fingerprint, a product name), or "
            "leave it out for the best one of the host."
        )
    if memory is not None and memory < SMALLEST_MEMORY_BYTES:
        raise InputError(f"memory_budget_bytes: {memory} is too small a memory to train in.")
    for name in ("trials", "cycle_batches", "effective_batch_size"):
        value = getattr(request, name)
        if value is not None and value < 1:
            raise InputError(f"{name}: {value} is not a number of 1 or more.")
    if not (math.isfinite(request.time_scale) and request.time_scale > 0):
        raise InputError(f"time_scale: {request.time_scale} is not a number above 0.")
    if request.headroom is not None and not 0 <= request.headroom <= 0.5:
        raise InputError(f"headroom: {request.headroom} is not a fraction from 0 to 0.5.")
    if request.timeout_s is not None and not request.timeout_s >= 0:
        raise InputError(f"timeout_s: {request.timeout_s} is not a time of 0 s or more.")
    if request.objective is not None and request.objective not in list(Objective):
        raise InputError(unknown_name("objective", request.objective, list(Objective)))
    if request.sampler is not None and request.sampler not in list(Sampler):
        raise InputError(unknown_name("sampler", request.sampler, list(Sampler)))
    for name in request.levers:
        if name not in LEVERS:
            raise InputError(unknown_name("lever", name, LEVERS))
    effective_batch.check(request.effective_batch_size, [*request.pinned, *request.levers])
