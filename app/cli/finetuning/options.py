"""Options of the fine-tuning commands, and how they become settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from finetuning.settings.files import read_settings
from finetuning.settings.model import FineTuningSettings
from finetuning.settings.presets import DEFAULT_PRESET, PRESETS, preset
from probes.errors import InputError
from probes.space import parse_assignments

Model = Annotated[
    str | None,
    typer.Option(help="Folder of a model, or its name in the hub's local cache.", metavar="PATH"),
]
Preset = Annotated[
    str | None,
    typer.Option(help=f"One of {', '.join(PRESETS)}. Default: {DEFAULT_PRESET}.", metavar="NAME"),
]
SettingsFile = Annotated[
    Path | None,
    typer.Option(
        "--settings",
        help="A YAML or JSON file of settings, such as a run's finetuning.yaml, instead of a "
        "preset.",
        metavar="FILE",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change one setting: --set lora.r=32, --set training.epochs=1. Repeatable.",
        metavar="NAME=VALUE",
    ),
]
RunFolderArgument = Annotated[
    Path, typer.Argument(help="Folder of the run: what was given as --output.", metavar="RUN")
]


def settings_from(
    model: str | None, preset_name: str | None, file: Path | None, assignments: Sequence[str] | None
) -> FineTuningSettings:
    """The settings that options ask for. Raises ``InputError``."""
    changes: dict[str, Any] = parse_assignments(list(assignments or []), "--set")
    changes = {name: _listed(name, value) for name, value in changes.items()}
    if file is not None:
        if preset_name is not None:
            raise InputError("Give either --preset or --settings, not both.")
        settings = read_settings(file)
        if model is not None:
            changes = {**changes, "model.name": model}
        return (settings.changed(changes) if changes else settings).located()
    if model is None:
        raise InputError("Give the model to train: --model PATH.")
    return preset(preset_name or DEFAULT_PRESET).settings(model, changes).located()


def _listed(name: str, value: Any) -> Any:
    """``--set lora.target_modules=q_proj,v_proj`` is a list."""
    if name.rpartition(".")[2] in ("target_modules", "report_to") and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value
