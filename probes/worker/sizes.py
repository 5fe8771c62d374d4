"""Model sizes of many configs: each model is built without memory for its parameters.

Where a model cannot be built on the meta device (it looks at values while it is built), it is built
on the CPU for real.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch

from probes.job import WorkloadRef
from probes.model_size import ModelSize
from probes.worker.returned import model_of
from probes.workloads.loading import load_workload

MOST_SECONDS = 15.0
"""Stop after this time; the remaining configs get no size."""


def model_sizes(ref: WorkloadRef, configs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One ``ModelSize`` per config, as plain data. Never raises for a config that fails."""
    workload = load_workload(ref).workload
    began_s = time.monotonic()
    sizes = []
    for config in configs:
        if time.monotonic() - began_s > MOST_SECONDS:
            sizes.append(ModelSize(None, None, f"not built within {MOST_SECONDS:.0f} s"))
        else:
            sizes.append(_size(workload, config))
    return [size.to_dict() for size in sizes]


def _size(workload: Any, config: dict[str, Any]) -> ModelSize:
    try:
        parameters = _parameters(workload, config)
        own = getattr(workload, "capacity", None)
        capacity = float(own(dict(config))) if callable(own) else float(parameters)
        return ModelSize(parameters, capacity)
    except Exception as error:
        return ModelSize(None, None, f"{type(error).__name__}: {error}".partition("\n")[0][:300])


def _parameters(workload: Any, config: dict[str, Any]) -> int:
    try:
        with torch.device("meta"):
            model = model_of(workload, config)
    except Exception:
        model = model_of(workload, config)
    return sum(p.numel() for p in model.parameters())
