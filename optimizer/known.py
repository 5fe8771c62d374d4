"""What may be known about configs before a study measures any of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from optimizer.capacity import SizesOf
from probes.measurement import Config
from probes.prior import Prior

PriorOf = Callable[[Config, int], Prior]
"""The memory prior of a config, up to a largest batch size."""


HeuristicOf = Callable[[str, Any], str]
"""What is known of setting a lever to a value: who claims what of it, and what was measured of that
here. One or more sentences; empty where nothing is known."""


def nothing_known(lever: str, value: Any) -> str:
    """A ``HeuristicOf`` without any knowledge."""
    return ""


@dataclass(frozen=True)
class Known:
    """Knowledge that speeds a study up. The study verifies all of it by measuring."""

    prior: PriorOf | None = None
    """Memory against batch size, without running a step."""
    sizes_of: SizesOf | None = None
    """How large the models are."""
    elsewhere: Callable[[Config], Prior] = lambda config: Prior()
    """Memory against batch size, as measured on another device or for another budget."""
    favourites: Sequence[Config] = ()
    """Configs that were recommended elsewhere; they are measured first."""
    heuristic_of: HeuristicOf = nothing_known
