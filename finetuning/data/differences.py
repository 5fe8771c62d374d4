"""What has changed since data was prepared, in words. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetuning.data.summary import DataSummary
from finetuning.settings.fields import to_plain
from finetuning.settings.model import FineTuningSettings

SOME_SOURCE = "a source has changed"
"""Where the card, which an earlier version wrote, does not tell which one."""


def of_settings(summary: DataSummary, settings: FineTuningSettings) -> list[str]:
    """Data settings and seed that are not those of the prepared rows."""
    before = _named(summary.settings, summary.seed)
    now = _named(to_plain(settings.data), settings.training.seed)
    return [
        f"{name} is {now.get(name)} and was {before.get(name)}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def of_sources(summary: DataSummary, sources: Mapping[str, str]) -> list[str]:
    """Sources that are not those of the prepared rows. ``sources``: a hash of the files of each."""
    before = {source.name: source.sha256 for source in summary.sources}
    found = [f"the source {name} is new" for name in sources if name not in before]
    found += [f"the source {name} is missing" for name in before if name not in sources]
    found += [
        f"the source {name} has changed"
        for name, sha256 in before.items()
        if sha256 and sources.get(name, sha256) != sha256
    ]
    return found


def _named(data: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return {"training.seed": seed, **{f"data.{name}": value for name, value in data.items()}}
