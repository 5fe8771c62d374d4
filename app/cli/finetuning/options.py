"""Options of the fine-tuning commands, and how they become settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from finetuning.settings.assignments import parse_changes
from finetuning.settings.files import read_settings
from finetuning.settings.model import FineTuningSettings
from finetuning.settings.presets import DEFAULT_PRESET, PRESETS, preset
from probes.errors import InputError

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
    changes = parse_changes(assignments or [], "--set")
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
