"""Where the numbers of an export come from, and the environment that training needs for them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from app.recommendations.exports.ranks import ranks_of
from optimizer.formatting import limit_text
from optimizer.records import Recommendation
from probes.formatting import size_text


def provenance(recommendation: Recommendation) -> list[str]:
    """Where the numbers come from, in two lines; a third says what the batch size means where
    several devices train as one."""
    r = recommendation
    minutes = {name: seconds / 60 for name, seconds in r.cycle_time_s.items()}
    lines = [
        f"Tonnage recommendation {r.id}: {r.workload}, {r.budget}, {r.device}",
        f"Measured {r.valid.get('created_at', 'at an unknown time')}, "
        f"fingerprint {r.valid.get('fingerprint', 'unknown')}; "
        f"cycle {minutes.get('mean', math.nan):.2f} min "
        f"({minutes.get('low', math.nan):.2f} to {minutes.get('high', math.nan):.2f}), "
        f"peak {size_text(r.peak_bytes)} of {size_text(r.limit_bytes)}, "
        f"limited by {limit_text(r.binding)}",
    ]
    ranks = ranks_of(r)
    if ranks is not None:
        lines.append(f"{ranks.meaning}.")
    return [" ".join(line.split()) for line in lines]


def allocator_variables(recommendation: Recommendation) -> dict[str, str]:
    """The environment variables that training needs to reproduce the measurement."""
    environment = recommendation.environment
    nested = environment.get("allocator")
    found = {**environment, **(nested if isinstance(nested, Mapping) else {})}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, str) and re.fullmatch(r"[A-Z][A-Z0-9_]*", name)
    }


def comment(lines: list[str]) -> str:
    """The lines as comments for YAML, TOML and shells. Line breaks within a line become spaces."""
    return "".join(f"# {' '.join(line.split())}\n" for line in lines)
