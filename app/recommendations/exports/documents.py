"""Documents for your own programs.

=====  ==========================================================================================
json   the whole document
yaml   config, batch size, accumulation, device and environment, with its provenance as a comment
toml   the same; TOML has no null, so values that are ``None`` are listed in a comment instead
=====  ==========================================================================================

Where several devices train as one, each has ``group`` as well: the ranks and the global batch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from app.recommendations.exports.command import as_recommended
from app.recommendations.exports.contract import Export, export_format
from app.recommendations.exports.provenance import comment, provenance
from app.recommendations.exports.ranks import ranks_of
from optimizer.records import Recommendation
from probes.formatting import finite


@export_format("json", "the whole document")
def to_json(recommendation: Recommendation) -> Export:
    """The whole recommendation, as JSON. Units are in the names of its fields."""
    whole = {**recommendation.to_dict(), "environment": _environment(recommendation)}
    document = finite(whole | _group(recommendation))
    return Export(json.dumps(document, indent=2, allow_nan=False) + "\n")


@export_format("yaml", "config, batch size, environment")
def to_yaml(recommendation: Recommendation) -> Export:
    """What a training needs of the recommendation, as YAML."""
    import yaml

    body = yaml.safe_dump(_essence(recommendation), sort_keys=False, allow_unicode=True)
    return Export(comment(provenance(recommendation)) + body)


@export_format("toml", "the same as TOML")
def to_toml(recommendation: Recommendation) -> Export:
    """What a training needs of the recommendation, as TOML."""
    import tomlkit

    left_out: list[str] = []
    essence = _without_none(_essence(recommendation), "", left_out)
    unsaid = []
    if left_out:
        unsaid = [f"Left out because TOML has no null: {', '.join(left_out)}"]
    text = comment(provenance(recommendation) + unsaid) + tomlkit.dumps(essence)
    return Export(text, unsaid)


def _essence(recommendation: Recommendation) -> dict[str, Any]:
    """What a training script needs. Single values come before tables, as TOML requires."""
    return {
        "recommendation": recommendation.id,
        "device": recommendation.device,
        "batch_size": recommendation.batch_size,
        "accumulation": recommendation.accumulation,
        "config": dict(recommendation.config),
        "environment": _environment(recommendation),
        **_group(recommendation),
    }


def _environment(recommendation: Recommendation) -> dict[str, Any]:
    """That of the measurement; a command without the folders of its probe, which are gone."""
    command = as_recommended(recommendation)
    return {**recommendation.environment, **({"command": command} if command else {})}


def _group(recommendation: Recommendation) -> dict[str, Any]:
    ranks = ranks_of(recommendation)
    return {} if ranks is None else {"group": ranks.to_dict()}


def _without_none(value: Any, path: str, left_out: list[str]) -> Any:
    """A copy without ``None``; ``left_out`` collects the paths of the values left out."""
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
