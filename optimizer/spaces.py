"""Which part of a workload's space a budget searches, given the memory there is. Pure functions.

A workload says what is possible; the memory tiers (see ``reference`` defaults in the
configuration) say what is worth trying for a budget on a device of this size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from probes import levers
from probes.errors import InputError
from probes.formatting import GIB
from probes.space import Choice, Dimension, Float, Int, Space, allows, size, unknown_name

MOST_CONFIGS = 2048
"""Configs of a space that are compared with each other; a larger space is thinned for that."""
FLOAT_VALUES = 9
"""Values that stand for a continuous dimension there."""


def planned(space: Space, trials: int) -> int:
    """Configs that are measured at most: fewer than ``trials`` where the space has fewer."""
    return min(trials, size(space) or trials)


@dataclass(frozen=True)
class Tier:
    """Spaces per budget for devices with at least ``min_gib`` of memory."""

    min_gib: float
    spaces: Mapping[str, Mapping[str, Sequence[Any]]]
    """Budget name to dimension name to the values to try."""


@dataclass(frozen=True)
class SpaceRules:
    """How the space of one workload is narrowed. Empty rules narrow nothing."""

    tiers: Sequence[Tier] = ()
    scaling: Sequence[tuple[float, float]] = ()
    """``(min_gib, factor)``: numeric values are multiplied by the factor of the largest
    ``min_gib`` that the device has."""
    rounding: Mapping[str, int] = field(default_factory=dict)
    """Dimension name to the multiple its scaled values are rounded to."""


def space_for(
    space: Space,
    rules: SpaceRules,
    budget: str,
    limit_bytes: int,
    pinned: Mapping[str, Any],
    searched_levers: Mapping[str, Dimension] | None = None,
) -> Space:
    """The space a study of ``budget`` searches on a device of ``limit_bytes``.

    ``searched_levers`` (``--levers``) are added where the workload does not list them itself.
    ``pinned`` values (``--set``) win over everything and may name a lever that is in neither.
    Raises ``InputError`` for an unknown dimension or a value of the wrong kind.
    """
    result = _narrow(space, rules, budget, limit_bytes / GIB)
    for name, dimension in (searched_levers or {}).items():
        result.setdefault(name, dimension)
    return levers.pinned(result, pinned)


def _narrow(space: Space, rules: SpaceRules, budget: str, gib: float) -> Space:
    fitting = [tier for tier in rules.tiers if gib >= tier.min_gib and budget in tier.spaces]
    if not fitting:
        return dict(space)
    values = max(fitting, key=lambda tier: tier.min_gib).spaces[budget]
    factor = _factor(rules.scaling, gib)
    result = dict(space)
    for name, options in values.items():
        if name not in space:
            raise InputError(f"Memory tier: {unknown_name('dimension', name, space)}")
        multiple = rules.rounding.get(name, 1)
        scaled = [_scaled(option, factor, multiple) for option in options]
        inside = [value for value in scaled if allows(space[name], value)]
        if inside:
            result[name] = Choice(sorted(set(inside)), cost_grows=space[name].cost_grows)
    return result


def _factor(scaling: Sequence[tuple[float, float]], gib: float) -> float:
    fitting = [(min_gib, factor) for min_gib, factor in scaling if gib >= min_gib]
    return max(fitting)[1] if fitting else 1.0


def _scaled(value: Any, factor: float, multiple: int) -> Any:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return value
    return max(multiple, multiple * round(value * factor / multiple))


def contains(space: Space, config: Mapping[str, Any]) -> bool:
    """Whether a config has exactly the dimensions of a space, each with an allowed value."""
    return config.keys() == space.keys() and all(
        allows(dimension, config[name]) for name, dimension in space.items()
    )


def costs_at_least(space: Space, config: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether ``config`` cannot be cheaper than ``other`` under the declared monotonicity.

    At least as large in every dimension whose cost grows, and equal in all others.
    """
    for name, dimension in space.items():
        if dimension.cost_grows:
            if cost_rank(dimension, config[name]) < cost_rank(dimension, other[name]):
                return False
        elif config[name] != other[name]:
            return False
    return True


def cost_rank(dimension: Dimension, value: Any) -> float:
    """Orders the values of a dimension whose cost grows: the number itself, or the index of an
    option that is not a number."""
    if isinstance(dimension, Choice) and not dimension.is_numeric():
        return float(dimension.options.index(value))
    return float(value)


def finite(space: Space, most: int = MOST_CONFIGS) -> Space:
    """The space with at most ``most`` configs: every range is thinned to evenly spaced values (of
    the logarithm where it has a log scale), its ends included, the longest first."""
    result: Space = {n: _listed(d) if isinstance(d, Float) else d for n, d in space.items()}
    while (size(result) or 0) > most:
        ranges = {
            n: d.values()
            for n, d in result.items()
            if isinstance(d, Int) or (isinstance(d, Choice) and d.is_numeric())
        }
        name = max(ranges, key=lambda n: len(ranges[n]), default="")
        if len(ranges.get(name, ())) <= 2:
            break
        values = ranges[name]
        kept = [*values[:-1:2], values[-1]]
        result[name] = Choice(kept, cost_grows=space[name].cost_grows)
    return result


def _listed(dimension: Float) -> Choice:
    low, high, last = dimension.low, dimension.high, FLOAT_VALUES - 1
    if dimension.log:
        values = [low * (high / low) ** (i / last) for i in range(FLOAT_VALUES)]
    else:
        values = [low + (high - low) * i / last for i in range(FLOAT_VALUES)]
    return Choice([low, *values[1:-1], high], cost_grows=dimension.cost_grows)
