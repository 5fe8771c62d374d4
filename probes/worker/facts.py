"""What devices there are, as torch in this interpreter sees them."""

from __future__ import annotations

import platform
import sys
from dataclasses import asdict
from typing import Any


def describe_devices() -> dict[str, Any]:
    """Facts of every device, best first, and why the other kinds are absent."""
    import torch

    from probes.devices import detect, unavailable

    return {
        "devices": [asdict(facts) for facts in detect()],
        "unavailable": unavailable(),
        "interpreter": {
            "python": platform.python_version(),
            "executable": sys.executable,
            "torch": torch.__version__,
            "torch_file": torch.__file__,
        },
    }
