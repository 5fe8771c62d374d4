"""Registered workloads: the names that the service may run, and the code behind each name.

They are the built-in workloads, those that installed packages offer as entry points of the group
``tonnage.workloads``, and those with a ``reference`` in ``tonnage.toml``. This module imports no
workload: its code runs in a worker, with its own interpreter.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from app.errors import NotAllowed, NotRegistered
from app.names import nearest
from app.settings import Settings
from app.settings.fields import NAME
from probes.errors import InputError
from probes.job import WorkloadRef
from probes.workloads import BUILT_IN

GROUP = "tonnage.workloads"

REQUEST_OPTIONS = {
    "causal-lm": (
        "vocab_size",
        "dtype",
        "target_modules",
        "lora_dropout",
        "rslora",
        "dora",
        "chunked_loss",
        "seed",
    ),
    "convnet": ("kind", "size", "seed"),
    "sft": ("search",),
    "transformer": ("vocabulary", "length", "heads", "seed"),
    "visnet": ("max_atoms", "cutoff", "seed"),
}
"""Options of built-in workloads that a request may set. No option here is the path of a file."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Registered:
    """A registered workload."""

    name: str
    reference: str
    """As ``WorkloadRef.spec``."""
    source: str
    """Where it was registered, in words."""
    python: str | None = None
    """The interpreter that trains it; ``None`` for the default one."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Fixed parameters."""
    request_options: tuple[str, ...] = ()
    """Parameters that a request may give."""

    def asked(self, options: Mapping[str, Any]) -> WorkloadRef:
        """The workload with the options of a request. Raises ``NotAllowed`` for an option that a
        request may not set."""
        for name in options:
            if name not in self.request_options:
                known = ", ".join(self.request_options) or "none"
                raise NotAllowed(
                    f"Workload {self.name}: a request may not set the option {name!r}. It may set: "
                    f"{known}. The operator of the service can allow it in tonnage.toml: "
                    f'[workloads.{self.name}] request_options = ["{name}"]'
                )
        return self.with_options(options)

    def with_options(self, options: Mapping[str, Any]) -> WorkloadRef:
        """The workload with options of the local user, who may set every option."""
        name = "" if self.reference == self.name else self.name
        return WorkloadRef(self.reference, {**self.options, **options}, name)


def registered(settings: Settings) -> dict[str, Registered]:
    """All registered workloads by name. Raises ``InputError`` for an invalid name in
    ``tonnage.toml``."""
    found = {name: Registered(name, name, "built in") for name in BUILT_IN}
    for point in entry_points(group=GROUP):
        if not NAME.fullmatch(point.name) or point.name in BUILT_IN:
            log.warning("The entry point %s = %s cannot be registered.", point.name, point.value)
            continue
        package = point.dist.name if point.dist is not None else "an installed package"
        found[point.name] = Registered(point.name, point.value, f"offered by {package}")
    for name, configured in settings.workloads.items():
        if configured.reference is not None:
            _check(name, settings)
            found[name] = Registered(name, configured.reference, "tonnage.toml")
    known = {name: _configured(entry, settings) for name, entry in found.items()}
    return {**known, **_commands(settings, known)}


def entry_of(settings: Settings, name: str) -> Registered | None:
    """The registered workload of this name; ``None`` for a path, a module or an unknown name. A
    built-in one is found without reading the entry points of every installed package, which takes
    up to a tenth of a second. Raises ``InputError`` as ``registered`` does."""
    if not NAME.fullmatch(name):
        return None
    if name not in BUILT_IN:
        return registered(settings).get(name)
    configured = settings.workloads.get(name)
    if configured is not None and configured.reference is not None:
        _check(name, settings)
    return _configured(Registered(name, name, "built in"), settings)


def _commands(settings: Settings, workloads: Mapping[str, Registered]) -> dict[str, Registered]:
    """The commands in ``tonnage.toml``. A request may not set any of their options."""
    from app.workloads import commands
    from probes.black_box import command

    found = {}
    for name, configured in settings.commands.items():
        where = settings.file or "tonnage.toml"
        if name in workloads:
            raise InputError(
                f"{where}: commands.{name}: a workload named {name} exists. Choose another name."
            )
        if not NAME.fullmatch(name):
            raise InputError(
                f"{where}: commands.{name}: a registered name consists of letters, digits, - and _."
            )
        options = commands.options_of(configured, Path.cwd())
        reference = command.reference(name, options, name)
        python = configured.python or commands.interpreter(reference)
        found[name] = Registered(name, reference.spec, "tonnage.toml", python, options)
    return found


def find(settings: Settings, name: str) -> Registered:
    """The registered workload of this name. Raises ``NotRegistered`` with the reason."""
    known = registered(settings)
    if name in known:
        return known[name]
    listing = ", ".join(sorted(known))
    if not NAME.fullmatch(name):
        raise NotRegistered(
            f"{name[:200]!r} is not the name of a workload. The service runs registered workloads "
            "only, and never a path or module from a request. Registered here: "
            f"{listing}. The operator of the service can register more in tonnage.toml: "
            '[workloads.NAME] reference = "path/to/file.py:Class"'
        )
    near = nearest(name, known)
    suggestion = f" Did you mean {near}?" if near else ""
    raise NotRegistered(
        f"Workload {name!r} is not registered here.{suggestion} Registered: {listing}."
    )


def _configured(entry: Registered, settings: Settings) -> Registered:
    """The entry with the interpreter and options that ``tonnage.toml`` sets for it, if any."""
    own = settings.workloads.get(entry.name)
    given = REQUEST_OPTIONS.get(entry.name, ())
    if own is None:
        return Registered(entry.name, entry.reference, entry.source, request_options=given)
    allowed = dict.fromkeys([*given, *own.request_options])
    return Registered(
        entry.name,
        entry.reference,
        entry.source,
        own.python,
        own.options,
        tuple(name for name in allowed if name not in own.options),
    )


def _check(name: str, settings: Settings) -> None:
    where = settings.file or "tonnage.toml"
    if name in BUILT_IN:
        raise InputError(
            f"{where}: workloads.{name}.reference: {name} is a built-in workload. Choose another "
            "name for yours."
        )
    if not NAME.fullmatch(name):
        raise InputError(
            f"{where}: workloads.{name}: a registered name consists of letters, digits, - and _."
        )
