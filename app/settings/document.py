"""Writes the reference page of the settings from the model: ``python -m app.settings.document``."""

from __future__ import annotations

import ast
import json
import sys
from inspect import getdoc, getsource
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from app.settings import defaults
from app.settings.fleet import FleetDeviceSettings, FleetSettings
from app.settings.model import BudgetSettings, KnowledgeSettings, ProbeSettings, Settings
from app.settings.serving import (
    BundleSettings,
    FineTuningJobSettings,
    RunnerSettings,
    ServiceSettings,
)
from app.settings.workloads import (
    CommandSettings,
    ParameterCap,
    Scaling,
    TierSpaces,
    WorkloadSettings,
)

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
TEMPLATE = "configuration.md.jinja"
SECTIONS: dict[str, type[BaseModel]] = {
    "[probe]": ProbeSettings,
    "[service]": ServiceSettings,
    "[runner]": RunnerSettings,
    "[knowledge]": KnowledgeSettings,
    "[finetuning]": FineTuningJobSettings,
    "[fleet]": FleetSettings,
    "[fleet.devices.NAME]": FleetDeviceSettings,
    "[bundles]": BundleSettings,
    "[budgets.NAME]": BudgetSettings,
    "[workloads.NAME]": WorkloadSettings,
    "[[workloads.NAME.tiers]]": TierSpaces,
    "[[workloads.NAME.scaling]]": Scaling,
    "[[workloads.NAME.parameter_caps]]": ParameterCap,
    "[commands.NAME]": CommandSettings,
}


def render() -> str:
    """The whole page as Markdown."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        autoescape=False,
    )
    templates.filters.update(about=getdoc, fields=_fields, number=_number, product=_product)
    return templates.get_template(TEMPLATE).render(
        top_level=_fields(Settings),
        sections=SECTIONS,
        budgets={name: BudgetSettings(**values) for name, values in defaults.BUDGETS.items()},
        defaults=defaults,
    )


def _fields(model: type[BaseModel]) -> list[list[str]]:
    """Key, type, default and description of everything in a table but the tables in it."""
    texts = _descriptions(model)
    return [
        [f"`{name}`", _type(field.annotation), _default(field), texts[name] + _bounds(field)]
        for name, field in model.model_fields.items()
        if name in texts
    ]


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


def _number(value: float | None, missing: str = "none") -> str:
    if value is None:
        return missing
    return f"{value:,.0f}" if value >= 1e6 else f"{value:,g}"


def _product(space: dict[str, list[Any]], names: list[str]) -> str:
    """``4, 3 × 64, 32``: the options of some dimensions."""
    texts = ([o if isinstance(o, str) else json.dumps(o) for o in space[name]] for name in names)
    return " × ".join(map(", ".join, texts))


def main() -> None:
    PAGE.write_text(render(), encoding="utf-8")
    sys.stderr.write(f"Written: {PAGE}\n")


if __name__ == "__main__":
    main()
