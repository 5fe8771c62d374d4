"""What a training process takes on a device before it trains: for commands, which cannot be asked.

On the CPU that is what torch and a first optimizer map besides files (libraries), by which a
workload's own probe begins to count too.
"""

from __future__ import annotations

import platform
import sys
from typing import Any

import torch

from probes.devices import backend_for, host


def footprint(device: str, limit_bytes: int | None, headroom: float) -> dict[str, Any]:
    """Fields of ``probes.black_box.footprint.Footprint``. Raises what applying a cap does."""
    start = 0
    if device == "cpu" and sys.platform.startswith("linux"):
        start = host.address_space_bytes() - host.own_file_mappings().file_bytes
    backend = backend_for(device)
    backend.initialise()
    cap = backend.apply_cap(limit_bytes, headroom)
    facts = backend.facts()
    return {
        "limit_bytes": cap.limit_bytes,
        "overhead_bytes": cap.overhead_bytes,
        "start_bytes": start,
        "total_bytes": facts.total_bytes,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "uuid": facts.identity.get("uuid"),
    }
