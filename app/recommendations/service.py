"""Finding and listing recommendations."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from app.database import Database
from app.errors import required
from app.names import nearest
from app.recommendations import repository
from probes.errors import InputError

if TYPE_CHECKING:
    from optimizer.records import Recommendation

LATEST = "latest"
_HAS_MEAN = re.compile(r'"cycle_time_s": *\{[^}]*"mean"')


class Choices(NamedTuple):
    """Every value that some recommendation has, in order."""

    workloads: list[str]
    budgets: list[str]
    devices: list[str]


def latest(database: Database, **wanted: Any) -> Recommendation | None:
    """The newest of the recommendations that match; ``None`` without one."""
    found = listing(database, limit=1, **wanted)
    return found[0] if found else None


def listing(database: Database, *, limit: int = 100, **wanted: Any) -> list[Recommendation]:
    """Newest first; for the filters see ``repository.listing``."""
    with database.read() as session:
        return repository.listing(session, limit=limit, **wanted)


def of_study(database: Database, study_id: str) -> Recommendation | None:
    """What a study ended in; ``None`` when it is not finished or found nothing."""
    with database.read() as session:
        return repository.of_study(session, study_id)


def text(database: Database, recommendation_id: str) -> str:
    """The stored document as JSON text. Raises ``NotFound``."""

    def load() -> str | None:
        with database.read() as session:
            text = repository.text_of(session, recommendation_id)
        if text is None or _HAS_MEAN.search(text):
            return text
        from optimizer.records import with_mean_cycle_time

        return json.dumps(with_mean_cycle_time(json.loads(text)))  # of an earlier release

    found = database.unchanged.get(("recommendation", recommendation_id), load)
    return required(found, f"recommendation {recommendation_id}")


def choices(database: Database) -> Choices:
    """The values to filter recommendations by."""
    with database.read() as session:
        return Choices(*repository.choices(session))


def exactly(database: Database, recommendation_id: str) -> Recommendation:
    """By its whole id. Raises ``NotFound``."""
    with database.read() as session:
        found = repository.get(session, recommendation_id)
    return required(found, f"recommendation {recommendation_id}")


def get(database: Database, reference: str) -> Recommendation:
    """By id, by an unambiguous beginning of an id, or ``latest``.

    Raises ``InputError`` when there is none, or more than one.
    """
    if reference == LATEST:
        found = latest(database)
        if found is None:
            raise InputError(
                "No recommendation is stored yet. Make one with: tonnage tune WORKLOAD"
            )
        return found
    with database.read() as session:
        exact = repository.get(session, reference)
        if exact is not None:
            return exact
        alike = repository.starting_with(session, reference) if reference else []
        if len(alike) == 1:
            return alike[0]
        known = [r.id for r in repository.listing(session, limit=50)]
    if alike:
        ids = ", ".join(r.id for r in alike)
        raise InputError(f"More than one recommendation starts with {reference!r}: {ids}.")
    near = nearest(reference, known)
    suggestion = f" Did you mean {near}?" if near else ""
    raise InputError(
        f"There is no recommendation {reference!r}.{suggestion} List them with: tonnage recommend"
    )


def chosen(
    database: Database, reference: str, *, workload: str | None, budget: str | None
) -> Recommendation:
    """As ``get``, but ``latest`` means the latest of the workload and the budget that are given.
    Raises ``InputError``."""
    if reference != LATEST or not (workload or budget):
        return get(database, reference)
    found = latest(database, workload=workload, budget=budget)
    if found is None:
        raise InputError(
            "No recommendation of that workload and budget is stored. List them all with: "
            "tonnage recommend --all"
        )
    return found
