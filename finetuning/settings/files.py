"""Settings as files: YAML or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from finetuning.settings.model import FineTuningSettings
from probes.errors import InputError
from probes.formatting import first_line


def read_settings(path: Path) -> FineTuningSettings:
    """Settings out of a YAML or JSON file. Raises ``InputError`` naming file and key."""
    import yaml

    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {first_line(error)}.") from error
    if not isinstance(plain, Mapping):
        raise InputError(f"{path} holds no settings: a table of names and values is expected.")
    try:
        return FineTuningSettings.from_plain(plain)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def write_settings(settings: FineTuningSettings, path: Path) -> None:
    """Write YAML, or JSON where the name ends in ``.json``. The file appears complete or not."""
    import yaml

    plain = settings.to_plain()
    text = (
        json.dumps(plain, indent=2)
        if path.suffix == ".json"
        else yaml.safe_dump(plain, sort_keys=False)
    )
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text + ("\n" if path.suffix == ".json" else ""), encoding="utf-8")
    partial.replace(path)
