"""Writes the reference page of the settings from the model: ``python -m app.settings.document``."""

from __future__ import annotations

import ast
import json
import sys
from inspect import cleandoc, getsource
from itertools import pairwise
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
        "## Top level\n\n" + _keys(Settings, only=top_level),
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
    return f"## `{title}`\n\n{cleandoc(model.__doc__ or '')}\n\n" + _keys(model)


def _keys(model: type[BaseModel], only: list[str] | None = None) -> str:
    texts = _descriptions(model)
    return _table(
        ["key", "type", "default", "description"],
        [
            [f"`{name}`", _type(field.annotation), _default(field), texts[name] + _bounds(field)]
            for name, field in model.model_fields.items()
            if only is None or name in only
        ],
    )


def _descriptions(model: type[BaseModel]) -> dict[str, str]:
    """What is written below each field in the source of the model."""
    (tree,) = ast.parse(getsource(model)).body
    assert isinstance(tree, ast.ClassDef)
    return {
        ast.unparse(field.target): " ".join(str(text.value.value).split())
        for field, text in pairwise(tree.body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, *rows]
    lines.insert(1, ["---"] * len(header))
    divided = (
        "|" + "|".join(line) + "|" if line[0] == "---" else f"| {' | '.join(line)} |"
        for line in lines
    )
    return "\n".join(divided) + "\n"


def _type(annotation: Any) -> str:
    names = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path"}
    if annotation in names:
        return names[annotation]
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(annotation))
    if get_origin(annotation) in (list, dict):
        return "list" if get_origin(annotation) is list else "table"
    members = [member for member in get_args(annotation) if member is not type(None)]
    return _type(members[0]) if members else "value"


def _bounds(field: FieldInfo) -> str:
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = [
        f"{word} {getattr(item, sign)}"
        for item in [*field.metadata, *_inner_metadata(field.annotation)]
        for sign, word in words.items()
        if getattr(item, sign, None) is not None
    ]
    return f" ({', '.join(bounds)})" if bounds else ""


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
    shown = ("target_min", "flexibility_min", "trials")
    return _table(
        ["budget", *(f"`{name}`" for name in shown)],
        [
            [f"`{budget}`", *(_number(values[name]) for name in shown)]
            for budget, values in defaults.BUDGETS.items()
        ],
    )


def _tiers(tiers: list[dict[str, Any]], shown: tuple[str, ...]) -> str:
    """One row per memory tier, one column per budget: the ``shown`` dimensions' options."""
    return _table(
        ["GiB from", *(f"`{budget}`" for budget in tiers[0]["spaces"])],
        [
            [
                _number(tier["min_gib"]),
                *(_product([space[name] for name in shown]) for space in tier["spaces"].values()),
            ]
            for tier in tiers
        ],
    )


def _visnet() -> str:
    multiple = defaults.VISNET_ROUNDING["hidden_channels"]
    scaling = [[_number(s["min_gib"]), _number(s["factor"])] for s in defaults.VISNET_SCALING]
    caps = [
        [_number(cap["max_samples"], "any"), _number(cap["max_parameters"])]
        for cap in defaults.PARAMETER_CAPS
    ]
    return (
        "Layers × hidden channels, by device memory (`tiers`):\n\n"
        + _tiers(defaults.VISNET_TIERS, ("layers", "hidden_channels"))
        + "\nMultipliers for layers and channels (`scaling`):\n\n"
        + _table(["GiB from", "factor"], scaling)
        + f"\nChannels are rounded to a multiple of {multiple} (`rounding`).\n"
        + "\nMaximum number of parameters, by dataset size (`parameter_caps`):\n\n"
        + _table(["samples below", "parameters"], caps)
    )


def _causal_lm() -> str:
    shown = ("layers", "hidden_size", "seq_length")
    space = defaults.CAUSAL_LM_TIERS[0]["spaces"]["production"]
    fixed = (f"`{name}` {_product([space[name]])}" for name in space if name not in shown)
    return (
        "Layers × hidden size × sequence length, by device memory (`tiers`):\n\n"
        + _tiers(defaults.CAUSAL_LM_TIERS, shown)
        + f"\nIn all of them: {', '.join(fixed)}.\n"
    )


def _number(value: float | None, missing: str = "none") -> str:
    return missing if value is None else f"{value:,g}" if value < 1e6 else f"{value:,.0f}"


def _product(dimensions: list[list[Any]]) -> str:
    return " × ".join(", ".join(_option(o) for o in options) for options in dimensions)


def _option(option: Any) -> str:
    return option if isinstance(option, str) else json.dumps(option)


def main() -> None:
    PAGE.write_text(render(), encoding="utf-8")
    sys.stderr.write(f"Written: {PAGE}\n")


if __name__ == "__main__":
    main()
