"""``KEY=value`` lines for ``set -a; . FILE`` and ``docker run --env-file``.

Where several devices train as one, a ``torchrun`` that is started with these variables starts one
process for each: it takes their number from ``PET_NPROC_PER_NODE`` if its command line has none.
There is no ``PET_STANDALONE``, which would overrule how a command line lets several hosts meet.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

from app.recommendations.exports.contract import Export, export_format
from app.recommendations.exports.provenance import allocator_variables, comment, provenance
from app.recommendations.exports.ranks import Ranks, ranks_of
from app.recommendations.exports.settings import named_values, plain, put, without_value
from optimizer.records import Recommendation
from probes.errors import InputError

_BARE = frozenset("_@%+=:,./-")
"""Characters, besides letters and digits, that have no special meaning to a shell or to docker."""


@export_format("env", "KEY=value lines for shells and containers")
def to_env(recommendation: Recommendation) -> Export:
    """Environment variables, one in each line."""
    from app.settings.environment import RECOMMENDATION_VARIABLE

    variables: dict[str, str] = {RECOMMENDATION_VARIABLE: recommendation.id}
    settings = named_values(recommendation, always_accumulation=True)
    for name, value in settings.items():
        if value is not None:
            put(variables, _variable(name), plain(value))
    ranks = ranks_of(recommendation)
    if ranks is not None:
        for name, value in _of_ranks(ranks, settings).items():
            put(variables, name, value)
    for name, value in allocator_variables(recommendation).items():
        put(variables, name, value)
    quoted = [name for name, value in variables.items() if not _is_bare(value)]
    unsaid = without_value(settings)
    lines = provenance(recommendation) + unsaid
    if quoted:
        lines.append(
            "Quoted for shells and docker compose (docker run --env-file keeps the quotes): "
            + ", ".join(quoted)
        )
    body = "".join(f"{name}={_quoted(name, value)}\n" for name, value in variables.items())
    return Export(comment(lines) + body, unsaid)


def _of_ranks(ranks: Ranks, settings: Mapping[str, Any]) -> dict[str, str]:
    """The group, and what torchrun and the devices' libraries read themselves."""
    group = {
        "world_size": ranks.size,
        "data_parallel": ranks.data_parallel,
        "tensor_parallel": ranks.tensor_parallel,
        "global_batch_size": ranks.global_batch_size,
    }
    found = {
        _variable(name): plain(value)
        for name, value in group.items()
        if settings.get(name) != value  # a lever is among the settings
    }
    hosts = {"PET_NNODES": str(ranks.group.hosts)} if ranks.group.hosts > 1 else {}
    started = {"PET_NPROC_PER_NODE": str(ranks.group.per_host), **hosts}
    return found | started | ranks.selection


def _variable(name: str) -> str:
    """``hidden_channels`` to ``TONNAGE_HIDDEN_CHANNELS``.

    A dimension with the name of one of Tonnage's own settings must not change that setting for a
    process that reads the file: ``headroom`` becomes ``TONNAGE_CONFIG_HEADROOM``.
    """
    from app.settings import Settings
    from app.settings.environment import CONFIG_VARIABLE, PREFIX, RECOMMENDATION_VARIABLE

    plain_name = re.sub(r"\W", "_", name, flags=re.ASCII).upper()
    taken = {PREFIX + field.upper() for field in Settings.model_fields}
    taken |= {CONFIG_VARIABLE, RECOMMENDATION_VARIABLE}
    variable = PREFIX + plain_name
    return f"{CONFIG_VARIABLE}_{plain_name}" if variable in taken else variable


def _is_bare(value: str) -> bool:
    return all(character.isalnum() or character in _BARE for character in value)


def _quoted(name: str, value: str) -> str:
    if any(character in value for character in "\n\r\0"):
        raise InputError(
            f"{name}: an environment file has one line per variable and cannot carry {value!r}. "
            "Export to json, yaml or toml instead."
        )
    return value if _is_bare(value) else shlex.quote(value)
