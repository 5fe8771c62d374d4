"""The most memory that an evaluation held: of the device, or of the process on a CPU."""

from __future__ import annotations

import sys
from typing import Any


def peak_memory(device: Any) -> tuple[int, str]:
    """Peak in bytes so far, and what it is of: ``device`` (reserved by torch) or ``process``.

    ``device`` is a ``torch.device``. On a CPU the process's largest resident memory is meant, which
    includes the libraries and the loading of the model.
    """
    import torch

    if device.type in ("cuda", "xpu"):
        return int(getattr(torch, device.type).max_memory_reserved(device)), "device"
    if device.type == "mps":
        return int(torch.mps.driver_allocated_memory()), "device"
    return _resident_peak_bytes(), "process"


def _resident_peak_bytes() -> int:
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
