"""Which models and data the service may fine-tune, and the settings that a request asks for.

A request names both by the names in ``tonnage.toml``. A path in a request is never looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from app.errors import NotAllowed, NotRegistered
from app.finetunings.request import FineTuningPost
from app.names import nearest
from app.settings import Settings
from finetuning.settings.model import FineTuningSettings
from finetuning.settings.presets import preset


def model_of(settings: Settings, name: str) -> str:
    """Path or cached name of a registered model. Raises ``NotRegistered``."""
    return _found("model", "models", settings.finetuning.models, name)


def data_of(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """Pattern of each registered source of rows. Raises ``NotRegistered``."""
    return {name: _found("data", "data", settings.finetuning.data, name) for name in names}


def settings_of(asked: FineTuningPost, model: str) -> FineTuningSettings:
    """The preset with the changes of the request, for a model.

    Raises ``InputError`` for an unknown preset or setting, naming the nearest one, and for a value
    out of its range; ``NotAllowed`` for a change of the model, which is not a setting here.
    """
    wanted = preset(asked.preset).settings(model, dict(asked.settings))
    if wanted.model.name != model or wanted.preset != asked.preset:
        raise NotAllowed(
            "settings: a request may not set model.name or preset. Name a registered model in "
            "`model`, and the preset in `preset`."
        )
    return wanted


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
