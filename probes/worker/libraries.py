"""Which libraries a workload imports, so that the fork server can import them once for all probes.

A framework takes seconds to import, and every probe is a fresh process. Standard library only,
Python 3.10 syntax.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class BeforeLoading:
    """What this process was like before the user's code was imported."""

    modules: frozenset[str] = field(default_factory=lambda: frozenset(sys.modules))
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def libraries(self, own: str) -> dict[str, Any]:
        """``modules``: the installed ones that were imported since, in their order. ``own`` is the
        module of the workload: nothing of its package is a library. ``variables``: what has changed
        in the environment, which libraries do as well as the user's code."""
        places = tuple(
            f"{place}{os.sep}"
            for place in {*sysconfig.get_paths().values(), site.getusersitepackages()}
        )
        package = own.partition(".")[0]
        modules = [
            name
            for name, module in list(sys.modules.items())
            if name not in self.modules
            and name.partition(".")[0] not in (package, "probes")
            and (getattr(module, "__file__", None) or "").startswith(places)
        ]
        return {"modules": modules, "variables": self.changed_variables()}

    def changed_variables(self) -> dict[str, str | None]:
        """The new value of each environment variable that is another now; ``None`` if unset."""
        now = dict(os.environ)
        names = {name for name, _ in self.environment.items() ^ now.items()}
        return {name: now.get(name) for name in sorted(names)}
