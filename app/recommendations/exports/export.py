"""Exports a recommendation to one of all formats."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from app.recommendations import exports
from app.recommendations.exports.contract import REGISTERED, Export, Format
from optimizer.records import Recommendation
from probes.errors import InputError
from probes.space import unknown_name

for module in iter_modules(exports.__path__):
    if module.name != "export":
        import_module(f"{exports.__name__}.{module.name}")

FORMATS: dict[str, Format] = dict(sorted(REGISTERED.items()))
"""The formats by their name for ``--to``."""


def export(recommendation: Recommendation, to: str) -> Export:
    """The recommendation in the format ``to``.

    Raises ``InputError`` for an unknown format, and for a value that the format cannot express.
    """
    if to not in FORMATS:
        raise InputError(unknown_name("export format", to, FORMATS))
    return FORMATS[to].make(recommendation)
