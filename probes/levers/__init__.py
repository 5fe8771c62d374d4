"""Levers: ways to train that any workload gets for free, as dimensions of its config.

A config that names one is trained that way by the probe, without the workload knowing. A lever
that this device or model cannot do raises ``UnsupportedError`` with the reason. Here is what can be
asked for; one module each says how it is done, in the worker. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from probes.errors import InputError, TonnageError
from probes.space import Choice, Int, Space, pin, unknown_name

PARALLEL_LEVERS: dict[str, Choice | Int] = {
    "parallel": Choice(["ddp", "fsdp", "tp"], cost_grows=False),
    "tensor_parallel": Int(1, 64, cost_grows=False),
    "ddp_bucket_mib": Int(1, 1024, cost_grows=False),
    "ddp_bucket_view": Choice([False, True], cost_grows=False),
    "ddp_static_graph": Choice([False, True], cost_grows=False),
    "ddp_find_unused": Choice([False, True], cost_grows=False),
    "fsdp_reshard": Choice([False, True], cost_grows=False),
    "fsdp_dtype": Choice(["fp32", "bf16"], cost_grows=False),
    "fsdp_offload": Choice([False, True], cost_grows=False),
}
"""How several devices train as one. They say nothing where a single device trains, and those of
another way than ``parallel`` names say nothing either."""

LEVERS: dict[str, Choice | Int] = {
    "precision": Choice(["fp32", "tf32", "bf16", "fp16"], cost_grows=False),
    "gradient_checkpointing": Choice([False, True], cost_grows=False),
    "compile": Choice([False, True], cost_grows=False),
    "optimizer_impl": Choice(["default", "forloop", "foreach", "fused"], cost_grows=False),
    "channels_last": Choice([False, True], cost_grows=False),
    "accumulation": Int(1, 1024, cost_grows=False),
    **PARALLEL_LEVERS,
}
"""Reserved dimension names and their legal values. None may prune: what a lever saves in memory it
mostly costs in time, and the reverse."""

ACCUMULATIONS = (1, 2, 4, 8, 16)
"""What a search tries where it is only told to look at accumulation."""

FOREACH_KINDS = ("cuda", "rocm", "xpu")
"""Kinds of device where torch's optimizers use foreach by themselves; elsewhere they loop."""


class UnsupportedError(TonnageError):
    """The device or the model cannot do what a lever asks for."""


def selected(config: Mapping[str, Any]) -> dict[str, Any]:
    """The levers among a config's values. Raises ``InputError`` for a value no lever has."""
    found = {name: config[name] for name in LEVERS if name in config}
    for name, value in found.items():
        check_value(name, value)
    return found


def check_value(name: str, value: Any) -> None:
    """Raise ``InputError``, naming the legal ones, unless the lever has this value."""
    lever = LEVERS[name]
    if isinstance(lever, Int):
        if type(value) is not int or not lever.low <= value <= lever.high:
            raise InputError(
                f"{name}={_text(value)}: use a whole number from {lever.low} to {lever.high}."
            )
    elif not any(type(value) is type(legal) and value == legal for legal in lever.options):
        legal_values = ", ".join(_text(legal) for legal in lever.options)
        raise InputError(f"{name}={_text(value)}: use one of {legal_values}.")


def checked(space: Space) -> Space:
    """A workload's space with the levers in it checked, and never a reason to prune.

    Raises ``InputError`` for a value that a lever does not have.
    """
    result = dict(space)
    for name in LEVERS.keys() & space.keys():
        dimension = space[name]
        values = dimension.values() if isinstance(dimension, (Int, Choice)) else [dimension]
        try:
            for value in values:
                check_value(name, value)
        except InputError as error:
            raise InputError(f"space(): {name} is a lever. {error}") from None
        result[name] = Choice(values, cost_grows=False)
    return result


def pinned(space: Space, values: Mapping[str, Any]) -> Space:
    """The space with dimensions and levers set to single values (``--set``).

    A lever need not be in the space. Raises ``InputError`` for an unknown name, a lever's value
    that it does not have, or a value of the wrong kind.
    """
    for name, value in values.items():
        if name in LEVERS:
            check_value(name, value)
        elif name not in space:
            raise InputError(unknown_name("dimension", name, [*space, *LEVERS]))
    added = {name: LEVERS[name] for name in values if name not in space}
    return pin({**space, **added}, values)


def to_search(names: Sequence[str], kind: str, precisions: Mapping[str, str]) -> Space:
    """The named levers as dimensions, with the values that make a difference on a kind of device.

    ``precisions`` is what the device cannot do and why (``DeviceFacts.precisions``). What the model
    or the environment cannot do shows in the worker only. Raises ``InputError`` for a name that is
    no lever.
    """
    found: Space = {}
    for name in names:
        if name not in LEVERS:
            raise InputError(unknown_name("lever", name, LEVERS))
        values: Sequence[Any] = LEVERS[name].values() if name != "accumulation" else ACCUMULATIONS
        if name == "precision":
            values = [precision for precision in values if not precisions.get(precision)]
        elif name == "optimizer_impl":
            same_as_default = "foreach" if kind in FOREACH_KINDS else "forloop"
            values = [impl for impl in values if impl != same_as_default]
        found[name] = Choice(values, cost_grows=False)
    return found


def _text(value: Any) -> str:
    """As it is written on the command line."""
    return str(value).lower() if isinstance(value, bool) else str(value)
