"""A recommendation in the form that another program reads.

=====  ==========================================================================================
json   the whole document
yaml   config, batch size, accumulation, device and environment, with its provenance as a comment
toml   the same; TOML has no null, so what is ``None`` is left out and named in a comment
env    ``KEY=value`` lines for ``set -a; . FILE`` and ``docker run --env-file``
args   command-line options, quoted for a shell; booleans as ``--name`` and ``--no-name``
=====  ==========================================================================================

A new format is a function from recommendation to text, and a line in ``FORMATS``.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from app.settings.environment import CONFIG_VARIABLE, PREFIX, RECOMMENDATION_VARIABLE
from app.settings.model import Settings
from optimizer.records import Recommendation
from probes.errors import InputError
from probes.space import unknown_name

_BARE = frozenset("_@%+=:,./-")
"""Besides letters and digits, what neither a shell nor docker reads as more than itself."""


def export(recommendation: Recommendation, to: str) -> str:
    """The recommendation as text in the format ``to``, ending in a line break.

    Raises ``InputError`` for an unknown format, and where a format cannot carry a value.
    """
    if to not in FORMATS:
        raise InputError(unknown_name("export format", to, FORMATS))
    return FORMATS[to](recommendation)


def to_json(recommendation: Recommendation) -> str:
    document = _without_non_finite(recommendation.to_dict())
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def to_yaml(recommendation: Recommendation) -> str:
    import yaml

    body = yaml.safe_dump(_essence(recommendation), sort_keys=False, allow_unicode=True)
    return _comment(provenance(recommendation)) + body


def to_toml(recommendation: Recommendation) -> str:
    import tomlkit

    left_out: list[str] = []
    essence = _without_none(_essence(recommendation), "", left_out)
    lines = provenance(recommendation)
    if left_out:
        lines.append(f"None, which TOML cannot say: {', '.join(left_out)}")
    return _comment(lines) + tomlkit.dumps(essence)


def to_env(recommendation: Recommendation) -> str:
    variables: dict[str, str] = {RECOMMENDATION_VARIABLE: recommendation.id}
    for name, value in _settings_of(recommendation, always_accumulation=True).items():
        if value is not None:
            _put(variables, _variable(name), _plain(value))
    for name, value in allocator_variables(recommendation).items():
        _put(variables, name, value)
    quoted = [name for name, value in variables.items() if not _is_bare(value)]
    lines = provenance(recommendation)
    if quoted:
        lines.append(
            "Quoted for shells and docker compose (docker run --env-file keeps the quotes): "
            + ", ".join(quoted)
        )
    body = "".join(f"{name}={_quoted(name, value)}\n" for name, value in variables.items())
    return _comment(lines) + body


def to_args(recommendation: Recommendation) -> str:
    options: dict[str, str] = {}
    for name, value in _settings_of(recommendation, always_accumulation=False).items():
        option = re.sub(r"[^\w-]", "-", name).replace("_", "-")
        if value is None:
            continue
        if isinstance(value, bool):
            _put(options, f"--{option}", f"--{option}" if value else f"--no-{option}")
            continue
        text = shlex.quote(_plain(value))
        joined = "=" if _plain(value).startswith("-") and not _is_number(value) else " "
        _put(options, f"--{option}", f"--{option}{joined}{text}")
    return " ".join(options.values()) + "\n"


FORMATS: dict[str, Callable[[Recommendation], str]] = {
    "json": to_json,
    "yaml": to_yaml,
    "toml": to_toml,
    "env": to_env,
    "args": to_args,
}


def provenance(recommendation: Recommendation) -> list[str]:
    """Where the numbers come from, in two lines."""
    r = recommendation
    minutes = {name: seconds / 60 for name, seconds in r.cycle_time_s.items()}
    gib = 2**30
    lines = [
        f"Tonnage recommendation {r.id}: {r.workload}, {r.budget}, {r.device}",
        f"Measured {r.valid.get('created_at', 'at an unknown time')}, "
        f"fingerprint {r.valid.get('fingerprint', 'unknown')}; "
        f"cycle {minutes.get('median', math.nan):.2f} min "
        f"({minutes.get('low', math.nan):.2f} to {minutes.get('high', math.nan):.2f}), "
        f"peak {r.peak_bytes / gib:.2f} of {r.limit_bytes / gib:.2f} GiB, bound by {r.binding}",
    ]
    return [" ".join(line.split()) for line in lines]


def allocator_variables(recommendation: Recommendation) -> dict[str, str]:
    """The environment variables that training must set to get what was measured."""
    environment = recommendation.environment
    nested = environment.get("allocator")
    found = {**environment, **(nested if isinstance(nested, Mapping) else {})}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, str) and re.fullmatch(r"[A-Z][A-Z0-9_]*", name)
    }


def _essence(recommendation: Recommendation) -> dict[str, Any]:
    """What a training script needs; single values first, as TOML wants them."""
    return {
        "recommendation": recommendation.id,
        "device": recommendation.device,
        "batch_size": recommendation.batch_size,
        "accumulation": recommendation.accumulation,
        "config": dict(recommendation.config),
        "environment": dict(recommendation.environment),
    }


def _settings_of(recommendation: Recommendation, always_accumulation: bool) -> dict[str, Any]:
    settings: dict[str, Any] = {"batch_size": recommendation.batch_size}
    if always_accumulation or recommendation.accumulation != 1:
        settings["accumulation"] = recommendation.accumulation
    for name, value in recommendation.config.items():
        _put(settings, name, value)
    return settings


def _put(into: dict[str, Any], name: str, value: Any) -> None:
    if name in into:
        raise InputError(f"Two values of this recommendation would both be called {name}.")
    into[name] = value


def _variable(name: str) -> str:
    """``hidden_channels`` to ``TONNAGE_HIDDEN_CHANNELS``.

    A dimension named as one of Tonnage's own settings must not change them in whoever reads the
    file: ``headroom`` becomes ``TONNAGE_CONFIG_HEADROOM``.
    """
    plain = re.sub(r"\W", "_", name, flags=re.ASCII).upper()
    taken = {PREFIX + field.upper() for field in Settings.model_fields}
    taken |= {CONFIG_VARIABLE, RECOMMENDATION_VARIABLE}
    variable = PREFIX + plain
    return f"{CONFIG_VARIABLE}_{plain}" if variable in taken else variable


def _plain(value: Any) -> str:
    """As JSON where it is a number or boolean, as it is where it is text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, (int, float)) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_bare(value: str) -> bool:
    return all(character.isalnum() or character in _BARE for character in value)


def _quoted(name: str, value: str) -> str:
    if any(character in value for character in "\n\r\0"):
        raise InputError(
            f"{name}: an environment file has one line per variable and cannot carry {value!r}. "
            "Export to json, yaml or toml instead."
        )
    return value if _is_bare(value) else shlex.quote(value)


def _comment(lines: list[str]) -> str:
    return "".join(f"# {line}\n" for line in lines)


def _without_none(value: Any, path: str, left_out: list[str]) -> Any:
    """A copy without what TOML cannot say; ``left_out`` collects where it was."""
    if isinstance(value, Mapping):
        kept = {}
        for name, item in value.items():
            where = f"{path}.{name}" if path else str(name)
            if item is None:
                left_out.append(where)
            else:
                kept[str(name)] = _without_none(item, where, left_out)
        return kept
    if isinstance(value, (list, tuple)):
        return [_without_none(item, path, left_out) for item in value if item is not None]
    return value


def _without_non_finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {name: _without_non_finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_non_finite(item) for item in value]
    return value
