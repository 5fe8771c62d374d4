"""Writes the reference page of the settings from the model: ``python -m app.settings.document``."""

from __future__ import annotations

import json
import sys
from inspect import cleandoc
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.settings import defaults
from app.settings.model import (
    BudgetSettings,
    CommandSettings,
    ParameterCap,
    ProbeSettings,
    RunnerSettings,
    Scaling,
    ServiceSettings,
    Settings,
    TierSpaces,
    WorkloadSettings,
)

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"

INTRODUCTION = """\
# Configuration

<!-- Made by `python -m app.settings.document` from app/settings. Do not edit by hand. -->

Tonnage works without configuration. Settings are in one file, `tonnage.toml`. It is searched for in
this order, and only the first one found is read:

1. the file that the environment variable `TONNAGE_CONFIG` names;
2. `tonnage.toml` in the working directory;
3. `tonnage.toml` in the user's configuration folder (`~/.config/tonnage` on Linux,
   `~/Library/Application Support/tonnage` on macOS, `%LOCALAPPDATA%\\tonnage\\tonnage` on Windows).

Every key can also be set with an environment variable: `TONNAGE_` and the key in capitals, with two
underscores between table and key, such as `TONNAGE_HEADROOM=0.1` or
`TONNAGE_BUDGETS__PROTOTYPING__TARGET_MIN=20`. Write lists and tables as JSON there. Command-line
options take precedence over the environment, the environment over the file, and the file over the
defaults. Tables are merged key by key; a list replaces the whole default list.

An unknown key in the file is an error, which names the nearest known key. An unknown `TONNAGE_…`
variable only causes a warning, because it may belong to another program. An empty variable counts
as not set. Sizes are in GiB, and times are in the unit that the key ends in (`_s`, `_min`).
"""

EXAMPLE = """\
## Example

```toml
headroom = 0.1
database_url = "postgresql://tonnage@db.example/tonnage"

[budgets.prototyping]
target_min = 15            # flexibility_min and trials keep their defaults

[budgets.lunch_break]      # a budget of your own
target_min = 45
flexibility_min = 5
trials = 12

[probe]
startup_timeout_s = 600    # a workload that reads a large file first

[workloads.visnet.rounding]
hidden_channels = 16

[workloads.digits]         # what the service may run: by this name, never by a path
reference = "jobs/digits.py:Digits"
python = "/srv/digits/.venv/bin/python"
options = { data = "/srv/digits/train.npz" }
request_options = ["length"]

[commands.resnet]          # a training script, measured as it is
command = "python train.py --batch-size {batch_size} --layers {layers} --out {run_dir}"
step = 'iter (?P<step>\\d+)'
[commands.resnet.space]
layers = "2..12"
```
"""


def render() -> str:
    """The whole page as Markdown."""
    top_level = [
        name
        for name, field in Settings.model_fields.items()
        if not _is_section(field.annotation) and get_origin(field.annotation) is not dict
    ]
    parts = [
        INTRODUCTION,
        "## Top level\n\n" + _table(Settings, only=top_level),
        _section("[probe]", ProbeSettings),
        _section("[service]", ServiceSettings),
        _section("[runner]", RunnerSettings),
        _section("[budgets.NAME]", BudgetSettings)
        + "\nDefaults; any other name defines a new budget:\n\n"
        + _budgets(),
        _section("[workloads.NAME]", WorkloadSettings),
        _section("[[workloads.NAME.tiers]]", TierSpaces),
        _section("[[workloads.NAME.scaling]]", Scaling),
        _section("[[workloads.NAME.parameter_caps]]", ParameterCap),
        _section("[commands.NAME]", CommandSettings),
        "## Defaults of `visnet`\n\n" + _visnet(),
        "## Defaults of `causal-lm`\n\n" + _causal_lm(),
        EXAMPLE,
    ]
    return "\n".join(parts)


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _section(title: str, model: type[BaseModel]) -> str:
    return f"## `{title}`\n\n{cleandoc(model.__doc__ or '')}\n\n" + _table(model)


def _table(model: type[BaseModel], only: list[str] | None = None) -> str:
    rows = ["| key | type | default | description |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        if only is None or name in only:
            cells = (f"`{name}`", _type(field), _default(field), _described(field))
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows) + "\n"


def _type(field: FieldInfo) -> str:
    return _type_name(field.annotation)


def _type_name(annotation: Any) -> str:
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path"}
    if annotation in names:
        return names[annotation]
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) in (list, dict):
        return "list" if get_origin(annotation) is list else "table"
    members = [member for member in get_args(annotation) if member is not type(None)]
    return _type_name(members[0]) if members else "value"


def _described(field: FieldInfo) -> str:
    bounds = []
    for item in [*field.metadata, *_inner_metadata(field.annotation)]:
        for sign, word in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
            value = getattr(item, sign, None)
            if value is not None:
                bounds.append(f"{word} {value}")
    text = field.description or ""
    return f"{text} ({', '.join(bounds)})" if bounds else text


def _inner_metadata(annotation: Any) -> list[Any]:
    return [item for member in get_args(annotation) for item in getattr(member, "metadata", [])]


def _default(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "shown_default" in extra:
        return str(extra["shown_default"])
    if field.default is None:
        return "none"
    if field.default is not PydanticUndefined:
        return f"`{json.dumps(field.default)}`"
    return "required" if field.default_factory is None else "empty"


def _budgets() -> str:
    rows = ["| budget | `target_min` | `flexibility_min` | `trials` |", "|---|---|---|---|"]
    for name, values in defaults.BUDGETS.items():
        target = "none" if values["target_min"] is None else f"{values['target_min']:g}"
        flexibility = f"{values['flexibility_min']:g}"
        rows.append(f"| `{name}` | {target} | {flexibility} | {values['trials']} |")
    return "\n".join(rows) + "\n"


def _tiers(tiers: list[dict[str, Any]], shown: tuple[str, ...]) -> list[str]:
    """One row per memory tier, one column per budget: the ``shown`` dimensions' options."""
    budgets = list(tiers[0]["spaces"])
    rows = [
        "| GiB from | " + " | ".join(f"`{budget}`" for budget in budgets) + " |",
        "|---|" + "---|" * len(budgets),
    ]
    for tier in tiers:
        cells = [_product([tier["spaces"][budget][name] for name in shown]) for budget in budgets]
        rows.append(f"| {tier['min_gib']:g} | " + " | ".join(cells) + " |")
    return rows


def _visnet() -> str:
    rows = ["Layers × hidden channels, by device memory (`tiers`):", ""]
    rows += _tiers(defaults.VISNET_TIERS, ("layers", "hidden_channels"))
    rows += ["", "Multipliers for layers and channels (`scaling`):", ""]
    rows += ["| GiB from | factor |", "|---|---|"]
    rows += [f"| {s['min_gib']:g} | {s['factor']:g} |" for s in defaults.VISNET_SCALING]
    multiple = defaults.VISNET_ROUNDING["hidden_channels"]
    rows += ["", f"Channels are rounded to a multiple of {multiple} (`rounding`)."]
    rows += ["", "Maximum number of parameters, by dataset size (`parameter_caps`):", ""]
    rows += ["| samples below | parameters |", "|---|---|"]
    for cap in defaults.PARAMETER_CAPS:
        samples = "any" if cap["max_samples"] is None else f"{cap['max_samples']:,}"
        rows.append(f"| {samples} | {cap['max_parameters']:,} |")
    return "\n".join(rows) + "\n"


def _causal_lm() -> str:
    shown = ("layers", "hidden_size", "seq_length")
    rows = ["Layers × hidden size × sequence length, by device memory (`tiers`):", ""]
    rows += _tiers(defaults.CAUSAL_LM_TIERS, shown)
    spaces = [s for tier in defaults.CAUSAL_LM_TIERS for s in tier["spaces"].values()]
    way = {name: options for name, options in spaces[0].items() if name not in shown}
    fixed = ", ".join(f"`{name}` {_product([options])}" for name, options in way.items())
    rows += ["", f"In all of them: {fixed}."]
    return "\n".join(rows) + "\n"


def _product(dimensions: list[list[Any]]) -> str:
    return " × ".join(", ".join(_option(o) for o in options) for options in dimensions)


def _option(option: Any) -> str:
    return option if isinstance(option, str) else json.dumps(option)


def main() -> None:
    PAGE.write_text(render(), encoding="utf-8")
    sys.stderr.write(f"Written: {PAGE}\n")


if __name__ == "__main__":
    main()
