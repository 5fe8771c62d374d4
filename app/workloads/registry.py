"""Which workloads this host knows by name: built in, installed, or listed in ``tonnage.toml``.

A name is all that a request over HTTP may give. Nothing is imported here: entry points are read
from the metadata of installed packages, and classes are loaded in workers only.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.errors import NotRegistered
from app.names import nearest
from app.settings.load import absolute_reference
from probes.workloads import BUILT_IN

if TYPE_CHECKING:
    from app.settings import Settings

ENTRY_POINTS = "tonnage.workloads"
"""The group under which an installed package offers workloads."""


@dataclass(frozen=True)
class Registered:
    """What a name stands for."""

    name: str
    reference: str
    """What a worker loads: a built-in name, ``/path/file.py:Class``, ``package.module:Class``."""
    source: str
    """``built-in``, ``entry point``, ``tonnage.toml``; ``reference`` for one without a name."""
    options: dict[str, Any] = field(default_factory=dict)
    python: str | None = None
    """The interpreter that trains it; ``None``: the default one."""


def registered(settings: Settings) -> dict[str, Registered]:
    """Every workload with a name, sorted by it. The configuration wins over packages, and those
    over what is built in."""
    found = {name: Registered(name, name, "built-in") for name in BUILT_IN}
    for point in entry_points(group=ENTRY_POINTS):
        found[point.name] = Registered(point.name, point.value, "entry point")
    for name, item in settings.workloads.items():
        if item.reference is not None:
            found[name] = Registered(name, item.reference, "tonnage.toml")
        if name in found:
            python = None if item.python is None else str(item.python)
            found[name] = replace(found[name], options=dict(item.options), python=python)
    return dict(sorted(found.items()))


def require(settings: Settings, name: str) -> Registered:
    """The workload of that name. Raises ``NotRegistered`` for everything else, and so for every
    path and module."""
    known = registered(settings)
    if name in known:
        return known[name]
    near = nearest(name, known)
    suggestion = f" Did you mean {near!r}?" if near else ""
    raise NotRegistered(
        f"Workload {name[:200]!r} is not registered on this host, and only registered ones are run "
        f"here: code named by a request is never imported.{suggestion} Known: {', '.join(known)}. "
        "Whoever runs the service registers one in its tonnage.toml: [workloads.NAME] with "
        'reference = "path/to/file.py:Class".'
    )


def lookup(settings: Settings, text: str) -> Registered:
    """What a person at the command line means: a registered name, or a reference as it is."""
    known = registered(settings).get(text)
    return known or Registered(text, absolute_reference(text, Path.cwd()), "reference")


def references(settings: Settings, text: str) -> list[str]:
    """The references under which results of this workload may be stored, for looking them up."""
    known = registered(settings).get(text)
    return [text] if known is None else list(dict.fromkeys((text, known.reference)))
