"""Search-space dimensions, and how plain Python values become them.

A workload may return ranges and lists from ``space()``; ``Int``, ``Float`` and ``Choice`` add
log scales and say whether a larger value costs more. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from probes.errors import InputError

MOST_CONFIGS = 1_000_000
"""More configs than this are not listed: a search looks at each of them several times."""
LARGEST = 2**53 - 1
"""Not every program that reads JSON represents larger whole numbers exactly."""

_MISSING: Any = None
"""The default of a bound, so that one that is left out is named in our words."""


@dataclass(frozen=True)
class Int:
    """Whole numbers from ``low`` to ``high``, both included.

    ``cost_grows``: a larger value never needs less memory or time. Pruning relies on it, so set
    it to ``False`` where that is not true.

    Example: ``Int(2, 12)``; ``Int(64, 512, step=64)``; ``Int(16, 1024, log=True)``.
    """

    low: int = _MISSING
    high: int = _MISSING
    step: int = 1
    log: bool = False
    cost_grows: bool = True

    def __post_init__(self) -> None:
        for name in ("low", "high", "step"):
            object.__setattr__(self, name, _whole(self, name))
        _check_order(self)
        if self.step < 1:
            raise InputError(f"Int(step={self.step}): step must be 1 or more.")
        if self.log and (self.low < 1 or self.step != 1):
            raise InputError("Int(log=True) needs low >= 1 and step=1.")

    @property
    def count(self) -> int:
        """Number of values."""
        return (self.high - self.low) // self.step + 1

    def values(self) -> list[int]:
        """Every value, in ascending order. Raises ``InputError`` for more than can be listed."""
        _check_count(self.count)
        return list(range(self.low, self.high + 1, self.step))


@dataclass(frozen=True)
class Float:
    """Real numbers from ``low`` to ``high``, both included; ``log`` samples by magnitude."""

    low: float = _MISSING
    high: float = _MISSING
    log: bool = False
    cost_grows: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, _number(self, name))
        _check_order(self)
        if not (math.isfinite(self.low) and math.isfinite(self.high)):
            raise InputError(f"Float(low={self.low}, high={self.high}): not a finite interval.")
        if self.log and self.low <= 0:
            raise InputError(f"Float(low={self.low}, log=True): a log scale needs low > 0.")


@dataclass(frozen=True)
class Choice:
    """One of several options. Numeric options are taken to cost more as they grow.

    Example: ``Choice([256, 512, 1024])``, or ``Choice(256, 512, 1024)``.
    """

    options: tuple[Any, ...]
    cost_grows: bool

    def __init__(
        self, *values: Any, options: Any = _MISSING, cost_grows: bool | None = None
    ) -> None:
        listed = list(values) if options is _MISSING else [options]
        if len(listed) == 2 and isinstance(listed[0], (list, tuple)):
            cost_grows = listed.pop()
            if not isinstance(cost_grows, (bool, type(None))):
                raise InputError("Choice: give one list of options, or each option by itself.")
        options = _listed(listed)
        for option in options:
            if not isinstance(option, (int, float, str, bool, type(None))):
                raise InputError(
                    f"Choice option {option!r} is a {type(option).__name__}; options must be "
                    "numbers, strings, booleans or None, because they are stored as JSON."
                )
        object.__setattr__(self, "options", tuple(options))
        object.__setattr__(
            self, "cost_grows", self.is_numeric() if cost_grows is None else cost_grows
        )

    @property
    def count(self) -> int:
        """Number of options."""
        return len(self.options)

    def is_numeric(self) -> bool:
        return all(isinstance(o, (int, float)) and not isinstance(o, bool) for o in self.options)

    def values(self) -> list[Any]:
        """Every option; ascending when they are numbers, as written otherwise."""
        return sorted(self.options) if self.is_numeric() else list(self.options)


Dimension: TypeAlias = "Int | Float | Choice"
Space = dict[str, Dimension]


def as_dimension(name: str, value: Any) -> Dimension:
    """Turn what ``space()`` returned for one name into a dimension.

    Accepts ``Int``/``Float``/``Choice``, a ``range``, a list or tuple of options, or a single
    plain value (a fixed dimension). Raises ``InputError`` for anything else.
    """
    if isinstance(value, (Int, Float, Choice)):
        return value
    if isinstance(value, range):
        if not value:
            raise InputError(f"space()[{name!r}] is {value}, which has no values.")
        ordered = sorted(value)
        return Int(ordered[0], ordered[-1], step=abs(value.step))
    if isinstance(value, (list, tuple, set, frozenset)) or hasattr(value, "tolist"):
        if hasattr(value, "tolist"):
            value = value.tolist()
        if value in ([], (), set()):
            raise InputError(f"space()[{name!r}] has no options; give at least one.")
        return Choice(value)
    if isinstance(value, (int, float, str, bool, type(None))):
        return Choice([value])
    raise InputError(
        f"space()[{name!r}] is a {type(value).__name__}; use a range, a list of options, "
        "or Int/Float/Choice from probes."
    )


def as_space(returned: Any) -> Space:
    """Check and normalise the return value of a workload's ``space()``."""
    if not isinstance(returned, Mapping):
        came = "None" if returned is None else f"a {type(returned).__name__}"
        missing = " Is a return statement missing?" if returned is None else ""
        raise InputError(
            f"space() returned {came}; it must return a dict from dimension name to a range or a "
            f'list of options, for example {{"layers": range(2, 13)}}.{missing}'
        )
    return {str(name): as_dimension(str(name), value) for name, value in returned.items()}


def dimension_to_dict(dimension: Dimension) -> dict[str, Any]:
    """JSON-ready form of a dimension; inverse of ``dimension_from_dict``."""
    if isinstance(dimension, Int):
        return {
            "type": "int",
            "low": dimension.low,
            "high": dimension.high,
            "step": dimension.step,
            "log": dimension.log,
            "cost_grows": dimension.cost_grows,
        }
    if isinstance(dimension, Float):
        return {
            "type": "float",
            "low": dimension.low,
            "high": dimension.high,
            "log": dimension.log,
            "cost_grows": dimension.cost_grows,
        }
    return {
        "type": "choice",
        "options": list(dimension.options),
        "cost_grows": dimension.cost_grows,
    }


def dimension_from_dict(data: Mapping[str, Any]) -> Dimension:
    kind = data["type"]
    rest = {key: value for key, value in data.items() if key != "type"}
    if kind == "int":
        return Int(**rest)
    if kind == "float":
        return Float(**rest)
    if kind == "choice":
        return Choice(**rest)
    raise InputError(f"Unknown dimension type {kind!r}.")


def grid(space: Mapping[str, Dimension]) -> list[dict[str, Any]] | None:
    """Every config of a finite space, cheapest dimensions first; ``None`` if it has a ``Float``.
    Raises ``InputError`` for a space with more than ``MOST_CONFIGS``."""
    configs_there = size(space)
    if configs_there is None:
        return None
    _check_count(configs_there)
    configs: list[dict[str, Any]] = [{}]
    for name, dimension in space.items():
        assert not isinstance(dimension, Float)
        configs = [{**config, name: value} for config in configs for value in dimension.values()]
    return configs


def smallest(space: Mapping[str, Dimension]) -> dict[str, Any]:
    """The config with the first value of every dimension: the lowest number, or the first option
    of a choice that is not numeric."""
    return {
        name: dimension.values()[0] if isinstance(dimension, Choice) else dimension.low
        for name, dimension in space.items()
    }


def size(space: Mapping[str, Dimension]) -> int | None:
    """Number of configs, or ``None`` for a continuous space."""
    total = 1
    for dimension in space.values():
        if isinstance(dimension, Float):
            return None
        total *= dimension.count
    return total


def allows(dimension: Dimension, value: Any) -> bool:
    """Whether a value is one of the dimension's."""
    if isinstance(dimension, Choice):
        return _same_as(value) in map(_same_as, dimension.options)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    is_between = dimension.low <= value <= dimension.high
    return is_between and (
        isinstance(dimension, Float) or (value - dimension.low) % dimension.step == 0
    )


def pin(space: Mapping[str, Dimension], pinned: Mapping[str, Any]) -> Space:
    """Restrict dimensions to single values (``--set``).

    Raises ``InputError`` for a name the space does not have (naming the nearest one) and for a
    value of the wrong kind. A value outside the listed options is allowed: the user asked for it.
    """
    result = dict(space)
    for name, value in pinned.items():
        if name not in space:
            raise InputError(unknown_name("dimension", name, space))
        dimension = space[name]
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if isinstance(dimension, Int) and (not number or value != int(value)):
            raise InputError(f"--set {name}={value}: {name} takes a whole number.")
        if isinstance(dimension, Float) and not number:
            raise InputError(f"--set {name}={value}: {name} takes a number.")
        if isinstance(dimension, Choice) and dimension.is_numeric() and not number:
            raise InputError(
                f"--set {name}={value}: {name} takes a number, such as {dimension.options[0]}."
            )
        result[name] = Choice([value], cost_grows=dimension.cost_grows)
    return result


def _check_count(count: int) -> None:
    if count > MOST_CONFIGS:
        raise InputError(
            f"The space has {count:,} configs; at most {MOST_CONFIGS:,} can be searched. Give "
            "fewer values, use a range with a step such as 64..4096..64, or fix dimensions with "
            "--set."
        )


def unknown_name(kind: str, name: str, known: Any) -> str:
    """An error sentence for an unknown name that suggests the nearest known one."""
    import difflib

    options = [str(option) for option in known]
    near = difflib.get_close_matches(name, options, n=1)
    suggestion = f" Did you mean {near[0]!r}?" if near else ""
    listing = ", ".join(options) if options else "none"
    return f"Unknown {kind} {name!r}.{suggestion} Known: {listing}."


def _number(dimension: Int | Float, name: str) -> Any:
    """A bound as a plain number. Raises ``InputError`` if it is not a number."""
    kind, value = type(dimension).__name__, getattr(dimension, name)
    if value is None:
        raise InputError(f"{kind} has no {name}; it needs both bounds, as in {kind}(1, 12).")
    if hasattr(value, "item"):  # numpy and torch
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        what = f"the text {value!r}" if isinstance(value, str) else f"a {type(value).__name__}"
        raise InputError(f"{kind}: {name} must be a number, not {what}.")
    return value


def _whole(dimension: Int, name: str) -> int:
    value = _number(dimension, name)
    if not math.isfinite(value) or value != int(value):
        raise InputError(
            f"Int: {name} must be a whole number, not {value}; use Float for real numbers."
        )
    return int(value)


def _check_order(dimension: Int | Float) -> None:
    low, high = dimension.low, dimension.high
    if low > high:
        kind = type(dimension).__name__
        raise InputError(
            f"{kind}(low={low}, high={high}): low is above high; write {kind}({high}, {low})."
        )


def _listed(values: list[Any]) -> list[Any]:
    """The options of a ``Choice``, from one list or from separate arguments, each once: a config is
    not measured twice."""
    options = values
    if len(values) == 1:
        only = values[0]
        if isinstance(only, (str, bytes, Mapping)) or only is None:
            raise InputError(f"Choice({only!r}): give a list of options, as in Choice([{only!r}]).")
        if hasattr(only, "tolist"):  # numpy and torch
            only = only.tolist()
        if isinstance(only, (set, frozenset)):
            only = sorted(only, key=lambda option: (str(type(option)), option))
        if isinstance(only, Iterable):
            options = list(only)
    if not options:
        raise InputError("Choice has no options; give at least one, as in Choice([256, 512]).")
    plain = [option.item() if hasattr(option, "item") else option for option in options]
    if any(hasattr(option, "__len__") and not isinstance(option, str) for option in plain):
        return plain  # no options; the caller says what they must be
    once: dict[Any, Any] = {}
    for option in plain:
        once.setdefault(_same_as(option), option)
    return list(once.values())


def _same_as(value: Any) -> tuple[bool, Any]:
    """Equal for values that make the same config: 1 and 1.0 do, 1 and ``True`` do not."""
    return isinstance(value, bool), value
