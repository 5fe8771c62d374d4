"""The levers of parallel training, as far as a group decides about them. Pure functions.

A config of a group always says how its ranks train together (``parallel``), so that two results can
be compared; a config of a single device never does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from probes.errors import InputError
from probes.formatting import plural
from probes.group import Group
from probes.levers import PARALLEL_LEVERS
from probes.space import Choice, Dimension, Space

SEARCHED = ("ddp", "fsdp")
"""What ``--levers parallel`` tries: what works without the workload's help."""
DEFAULT = "ddp"


def check(names: Mapping[str, Any] | Sequence[str], group: Group | None) -> None:
    """Raise ``InputError`` where ``--set`` or ``--levers`` names such a lever for a single device,
    or ``--set`` asks for tensor parallelism that the group cannot have."""
    named = [name for name in PARALLEL_LEVERS if name in names]
    if group is None:
        if named:
            raise InputError(
                f"{named[0]} says how several devices train together: add --devices 2 (or all, or "
                "names such as cuda:0,cuda:1), or leave it out."
            )
        return
    if not isinstance(names, Mapping):
        return
    degree = names.get("tensor_parallel", 1)
    if group.size % degree:
        raise InputError(
            f"tensor_parallel={degree} does not divide {plural(group.size, 'rank')}: use "
            f"{', '.join(map(str, divisors(group.size)))}."
        )
    if degree > 1 and names.get("parallel", "tp") != "tp":
        raise InputError(
            f"tensor_parallel={degree} needs parallel=tp; parallel={names['parallel']} was given."
        )


def for_group(space: Space, group: Group | None) -> Space:
    """The space of a workload without what says nothing here: the levers of parallel training where
    a single device trains, and degrees of tensor parallelism that do not divide the group."""
    if group is None:
        return {name: each for name, each in space.items() if name not in PARALLEL_LEVERS}
    found = dict(space)
    if (degrees := found.get("tensor_parallel")) is not None and isinstance(degrees, Choice):
        fitting = [value for value in degrees.values() if value in divisors(group.size)]
        found["tensor_parallel"] = Choice(fitting or [1], cost_grows=False)
    return found


def with_parallel(space: Space, group: Group | None, is_command: bool) -> Space:
    """The space with ``parallel`` in it, for a group of which nothing has said how it trains. A
    command says it itself."""
    if group is None or is_command or "parallel" in space:
        return dict(space)
    way = "tp" if "tensor_parallel" in space else DEFAULT
    return {**space, "parallel": Choice([way], cost_grows=False)}


def config_of_group(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with ``parallel`` in it, as ``with_parallel`` would have it."""
    way = "tp" if config.get("tensor_parallel", 1) > 1 else DEFAULT
    return {**config, "parallel": config.get("parallel", way)}


def searched(levers: Mapping[str, Dimension], group: Group | None) -> Space:
    """The dimensions of ``--levers``, with the values that make sense for the group."""
    found = dict(levers)
    if group is None:
        return found
    if "tensor_parallel" in found:
        found["tensor_parallel"] = Choice(divisors(group.size), cost_grows=False)
    if "parallel" in found:
        ways = [*SEARCHED, "tp"] if "tensor_parallel" in found else [*SEARCHED]
        found["parallel"] = Choice(ways, cost_grows=False)
    return found


def divisors(size: int) -> list[int]:
    return [number for number in range(1, size + 1) if size % number == 0]
