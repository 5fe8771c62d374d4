"""Configs, rates and durations as people read them. Quick to import."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def config_text(config: Mapping[str, Any]) -> str:
    """``layers=4 width=64``, or a word for the empty config."""
    return " ".join(f"{name}={value}" for name, value in config.items()) or "the workload"


def rate(samples_per_s: float) -> str:
    """Throughput with its unit, three digits and never an exponent."""
    if samples_per_s < 1000:
        return f"{samples_per_s:.3g} samples/s"
    digits = math.floor(math.log10(samples_per_s)) - 2
    return f"{round(samples_per_s, -digits):,.0f} samples/s"


def duration(seconds: float) -> str:
    """Seconds below two minutes, minutes above, hours above two hours; three digits."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    if seconds < 7200:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h"
