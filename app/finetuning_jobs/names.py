"""What a request may name: models, data and tasks that are registered, here or at a runner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from app.database import Database
from app.finetunings import registered
from app.finetunings.tasks import KnownTask, known_tasks, task_of
from app.jobs import runner_repository
from app.settings import Settings

Hosts = Mapping[str, list[str]]
"""By name: the hosts of runners that have it. Empty for one that only this host has registered,
while no runner runs here."""


@dataclass(frozen=True)
class Names:
    """Everything that is registered, by name."""

    settings: Settings
    models: Hosts
    data: Hosts
    tasks: Mapping[str, KnownTask]

    def model(self, name: str) -> None:
        """Raises ``NotRegistered`` unless there is a model of this name."""
        if name not in self.models:
            registered.model_of(self.settings, name)

    def task(self, name: str) -> KnownTask:
        """Raises ``NotRegistered``."""
        return self.tasks[name] if name in self.tasks else task_of(self.settings, name, {})


def names_of(database: Database, settings: Settings) -> Names:
    """As it is now."""
    with database.read() as session:
        runners = runner_repository.listing(session)
    offers = [(r.owner.host, r.offers.finetuning) for r in runners if r.offers.finetuning]
    own = settings.finetuning
    tasks = dict(known_tasks(settings))
    for _, offer in offers:
        for name in offer.tasks:
            tasks.setdefault(name, KnownTask(name, "Registered at a runner.", (), name))
    return Names(
        settings,
        _hosts(own.models, [(host, offer.models) for host, offer in offers]),
        _hosts(own.data, [(host, offer.data) for host, offer in offers]),
        tasks,
    )


def _hosts(own: Iterable[str], offered: list[tuple[str, Iterable[str]]]) -> Hosts:
    found: dict[str, set[str]] = {name: set() for name in own}
    for host, names in offered:
        for name in names:
            found.setdefault(name, set()).add(host)
    return {name: sorted(found[name]) for name in sorted(found)}
