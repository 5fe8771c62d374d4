"""The search space of a workload: as its own interpreter reports it, and as it is configured."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.machine.local_facts import timeouts
from app.settings import Settings
from app.workloads import registry
from optimizer.records import short_hash
from optimizer.spaces import SpaceRules, Tier
from probes.errors import TonnageError
from probes.interpreter import resolve_python
from probes.prober import Prober
from probes.space import Space, dimension_from_dict

if TYPE_CHECKING:
    from app.http.runtime import Service

GOOD_FOR_S = 600.0
"""How long an answer is reused; the workload's file may have changed after that."""


@dataclass(frozen=True)
class Described:
    """A workload's space and data set size. ``problem`` says why there is no ``space``."""

    space: Space | None
    dataset_size: int | None = None
    problem: str = ""


class Describer:
    """Asks a registered workload in a worker, which takes seconds, and remembers the answer for a
    while. Nothing that a request names is imported."""

    def __init__(self, ask: Callable[[Settings, str], Described] | None = None) -> None:
        self._ask = ask or _asked
        self._known: dict[str, tuple[float, Described]] = {}
        self._lock = threading.Lock()

    @classmethod
    def of(cls, service: Service) -> Describer:
        """That of a running service."""
        return service.part(cls, cls)

    def known(self, settings: Settings, name: str) -> Described | None:
        """Without asking. Raises ``NotRegistered``."""
        said_s, found = self._known.get(_key(settings, name), (-GOOD_FOR_S, None))
        return found if time.monotonic() - said_s < GOOD_FOR_S else None

    def describe(self, settings: Settings, name: str) -> Described:
        """Raises ``NotRegistered``."""
        with self._lock:  # several pages may ask at once: one worker is enough
            found = self.known(settings, name)
            if found is None:
                found = self._ask(settings, name)
                if found.space is not None:
                    self._known[_key(settings, name)] = time.monotonic(), found
            return found


def space_rules(settings: Settings, workload: str) -> SpaceRules:
    """The configured memory tiers of a workload; empty rules where there are none."""
    found = settings.workloads.get(workload)
    if found is None:
        return SpaceRules()
    return SpaceRules(
        tiers=[Tier(tier.min_gib, tier.spaces) for tier in found.tiers],
        scaling=[(scaling.min_gib, scaling.factor) for scaling in found.scaling],
        rounding=found.rounding,
    )


def _key(settings: Settings, name: str) -> str:
    entry = registry.find(settings, name)
    return short_hash([entry.name, entry.reference, entry.python, dict(entry.options)])


def _asked(settings: Settings, name: str) -> Described:
    entry = registry.find(settings, name)
    try:
        with Prober(resolve_python(entry.python), timeouts(settings)) as prober:
            said = prober.describe(entry.with_options({}))
    except TonnageError as error:
        return Described(None, problem=str(error))
    space = {each: dimension_from_dict(d) for each, d in said["space"].items()}
    return Described(space, said["dataset_size"])
