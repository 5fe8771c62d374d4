"""Packages of ours that lie beside ``probes`` and run in the user's interpreter with it.

They are registered by their place, never found by name on ``sys.path``: a user's own package of
that name must not be taken for ours. Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from probes.errors import InputError

PACKAGES = ("finetuning",)


def import_beside(place: str) -> ModuleType:
    """Import ``place``, a module of one of these packages."""
    top = place.partition(".")[0]
    if top not in PACKAGES:
        raise InputError(f"{place!r} is not a module of {' or '.join(PACKAGES)}.")
    _register(top)
    return importlib.import_module(place)


def function_beside(name: str) -> Callable[..., Any]:
    """The function that ``package.module:function`` names."""
    place, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(import_beside(place), function)
    return found


def is_beside(place: str) -> bool:
    """Whether a module belongs to one of these packages."""
    return place.partition(".")[0] in PACKAGES


def _register(name: str) -> None:
    if name in sys.modules:
        return
    folder = Path(__file__).resolve().parents[1] / name
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {name} from {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
