"""Configs and rates as people read them. Quick to import."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def config_text(config: Mapping[str, Any]) -> str:
    """``layers=4 width=64``, or words for the empty config."""
    return " ".join(f"{name}={value}" for name, value in config.items()) or "default settings"


def rate(samples_per_s: float) -> str:
    """Throughput with its unit, three digits and never an exponent."""
    if samples_per_s < 1000:
        return f"{samples_per_s:.3g} samples/s"
    digits = math.floor(math.log10(samples_per_s)) - 2
    return f"{round(samples_per_s, -digits):,.0f} samples/s"


FEWEST_GRADED = 5
"""Fewer graded predictions say nothing about a usual error."""


def error_text(graded: int, median: float) -> str:
    """How far predictions were off, and on how many measurements that rests."""
    if graded < FEWEST_GRADED:
        count = "1 measurement" if graded == 1 else f"{graded} measurements"
        return f"compared with {count}, too few for a median error"
    return f"off by {median:.1%} (median of {graded} measurements)"


LIMITS = {
    "memory": "memory",
    "time": "cycle time",
    "data": "dataset size",
    "shape": "kernel shape",
    "failure": "a failed run",
    "cap": "batch cap",
}
"""What keeps a batch from being larger (``binding``), in words."""


def limit_text(binding: str | None) -> str:
    """``data`` is ``dataset size``; ``–`` if nothing is known to limit the batch."""
    return LIMITS.get(binding or "", binding or "–")
