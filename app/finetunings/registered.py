"""Which models and data the service may fine-tune, and the settings that a request asks for.

A request names both by the names in ``tonnage.toml``. A path in a request is never looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.errors import NotAllowed, NotRegistered
from app.finetunings.request import FineTuningPost
from app.names import nearest
from app.settings import Settings
from finetuning.settings.model import FineTuningSettings
from finetuning.settings.presets import preset
from probes.errors import InputError

ALIKE = 0.6
"""How alike two names must be for one to be suggested for the other; see ``difflib``."""


class WrongSettings(InputError):
    """What a request changes of a preset makes no sense."""


def model_of(settings: Settings, name: str) -> str:
    """Path or cached name of a registered model. Raises ``NotRegistered``."""
    return _found("model", "models", settings.finetuning.models, name)


def data_of(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """Pattern of each registered source of rows. Raises ``NotRegistered``."""
    return {name: _found("data", "data", settings.finetuning.data, name) for name in names}


def settings_of(asked: FineTuningPost, model: str) -> FineTuningSettings:
    """The preset with the changes of the request, for a model.

    Raises ``InputError`` for an unknown preset; ``WrongSettings`` for an unknown setting, naming
    the nearest ones, and for a value out of its range; ``NotAllowed`` for a change of the model,
    which is not a setting here.
    """
    chosen = preset(asked.preset)
    known = _names_in(chosen.settings(model, {}).to_plain())
    for name in asked.settings:
        if not any(name in (each, each.rpartition(".")[2]) for each in known):
            raise WrongSettings(_no_setting(name, known))
    try:
        wanted = chosen.settings(model, dict(asked.settings))
    except InputError as error:
        raise WrongSettings(str(error)) from None
    if wanted.model.name != model or wanted.preset != asked.preset:
        raise NotAllowed(
            "settings: a request may not set model.name or preset. Name a registered model in "
            "`model`, and the preset in `preset`."
        )
    return wanted


def _names_in(plain: Mapping[str, Any]) -> list[str]:
    """The dotted names of all settings."""
    return [
        f"{group}.{name}" if isinstance(table, Mapping) else group
        for group, table in plain.items()
        for name in (table if isinstance(table, Mapping) else [group])
    ]


def _no_setting(name: str, known: Sequence[str]) -> str:
    """There are too many to list them all."""
    by_end = {each.rpartition(".")[2]: each for each in known}
    end = nearest(name.rpartition(".")[2], by_end, ALIKE)
    near = nearest(name, known, ALIKE) or (by_end[end] if end is not None else None)
    if near is not None:
        return f"There is no setting {name!r}. Did you mean {near}?"
    groups = sorted({each.partition(".")[0] for each in known if "." in each})
    return (
        f"There is no setting {name!r}. The names of settings begin with "
        f"{', '.join(f'{group}.' for group in groups[:-1])} or {groups[-1]}."
    )


def _found(what: str, table: str, known: Mapping[str, str], name: str) -> str:
    if name in known:
        return known[name]
    near = nearest(name, known)
    suggestion = f" Did you mean {near}?" if near else ""
    raise NotRegistered(
        f"The {what} {name!r} is not registered here.{suggestion} Registered: "
        f"{', '.join(sorted(known)) or 'none'}. The operator of the service can register more in "
        f'tonnage.toml: [finetuning.{table}] NAME = "PATH"'
    )
