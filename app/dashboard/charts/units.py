"""One unit for all numbers of an axis, so that they can be compared at a glance."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple


class Unit(NamedTuple):
    """A symbol, and its size in the base unit (bytes, seconds, samples)."""

    symbol: str
    size: float

    def of(self, value: float) -> float:
        return value / self.size


BYTES = (Unit("KiB", 2**10), Unit("MiB", 2**20), Unit("GiB", 2**30))
SECONDS = (Unit("µs", 1e-6), Unit("ms", 1e-3), Unit("s", 1.0), Unit("min", 60.0), Unit("h", 3600.0))
PARAMETERS = (Unit("", 1.0), Unit("thousand", 1e3), Unit("million", 1e6), Unit("billion", 1e9))


def memory_unit(values: Iterable[float]) -> Unit:
    """KiB, MiB or GiB, by the largest value."""
    return _largest(BYTES, values)


def time_unit(values: Iterable[float]) -> Unit:
    """By the largest value; milliseconds up to ten seconds, seconds up to ten minutes and so on."""
    return _largest(SECONDS, values, {"s": 10.0, "min": 600.0, "h": 36000.0})


def count_unit(values: Iterable[float]) -> Unit:
    return _largest(PARAMETERS, values)


def _largest(
    units: tuple[Unit, ...], values: Iterable[float], begins: dict[str, float] | None = None
) -> Unit:
    most = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
    fitting = [u for u in units if most >= (begins or {}).get(u.symbol, u.size)]
    return fitting[-1] if fitting else units[0]
