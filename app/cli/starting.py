"""Which recommendation ``tonnage run`` starts with: from a service or the local store, and whether
it is still valid. A service that is away, or a store that cannot be read, never keeps a run from
starting."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from app.database import Database, open_database
from app.deadline import within
from app.devices import service as devices
from app.errors import NotFound
from app.machine.disk_cache import keep, kept
from app.machine.local_facts import DeviceNow
from app.recommendations import service
from app.recommendations.preferred import MOST_COMPARED, preferred
from app.validity.comparison import compare, measured_with
from app.validity.reported import conditions_of
from app.validity.source import SourceNow
from app.workloads.again import tune_line_of
from optimizer.records import Recommendation
from probes.devices.fingerprint import Fingerprint
from probes.errors import InputError, TonnageError
from probes.formatting import first_line

if TYPE_CHECKING:
    from app.recommendations.schemas import RecommendationOut

PATIENCE_S = 3.0
"""How long a service has to answer before its last known answer is used instead."""
LAST_KNOWN = "last-recommendation"
UNNAMED = "WORKLOAD"
UNLIKE_OURS = "did not answer as a Tonnage service of this version does."


@dataclass(frozen=True)
class RunQuestion:
    """What is trained, and where."""

    workload: str | None
    budget: str | None
    recommendation_id: str | None
    here: DeviceNow | None
    server: str | None
    api_key: str | None
    database_url: str
    device: Callable[[Recommendation], DeviceNow | None] | None = None
    """This machine's device as the interpreter sees it that trains the workload of a
    recommendation; without it, ``here``. What it raises is a doubt: no run is kept by it."""
    source: Callable[[Recommendation], SourceNow] = lambda _: SourceNow()
    """Looks at the source of the workload that a recommendation is for: which one that is, is known
    only when the recommendation has been found."""


@dataclass(frozen=True)
class StartingPoint:
    """The recommendation, if there is one, and why it may no longer be valid."""

    recommendation: Recommendation | None
    doubts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tune: str = ""
    """How to get one, where there is none; empty where the store cannot be read."""
    here: DeviceNow | None = None
    """What it was compared with."""


@dataclass(frozen=True)
class Stored:
    """What the store here has."""

    recommendation: Recommendation | None = None
    measured_on: Fingerprint | None = None
    """The fingerprint of its device, if that is stored."""
    tune: str = ""
    """How to get one, where there is none."""


def find(wanted: RunQuestion) -> StartingPoint:
    """A service that is away is a warning, and so is a store that cannot be read."""
    warnings: list[str] = []
    found: Recommendation | None = None
    stored = Stored()
    if wanted.server:
        try:
            found = _from_service(wanted)
        except Exception as error:  # nothing that a service does keeps a run from starting
            found = _last_known(wanted)
            then = f"its last known answer ({found.id})" if found else "the local store"
            why = error if isinstance(error, TonnageError) else f"{wanted.server} {UNLIKE_OURS}"
            warnings.append(f"{why} Using {then} instead.")
    if found is None:
        try:
            stored = _from_store(wanted)
        except TonnageError as error:  # no database keeps a run from starting, whatever is wrong
            warnings.append(str(error))
        found = stored.recommendation
    if found is None:
        return StartingPoint(None, [], warnings, stored.tune)
    source = wanted.source(found)
    here, unseen = _device(wanted, found)
    now = conditions_of(here, source.source_hash, time_scale=1.0)
    validity = compare(found.workload, measured_with(found, stored.measured_on), now)
    doubts = [*validity.reasons, *filter(None, [source.doubt, unseen])]
    if doubts and source.folder:
        doubts.append(f"The script in {source.folder} was compared.")
    return StartingPoint(found, doubts, [*warnings, *filter(None, [source.warning])], here=here)


def _device(wanted: RunQuestion, found: Recommendation) -> tuple[DeviceNow | None, str]:
    """What the recommendation is compared with, or a sentence why there is nothing: the torch that
    trains may lack a device that another one has."""
    if wanted.device is None:
        return wanted.here, ""
    try:
        return wanted.device(found), ""
    except (InputError, OSError, ValueError) as error:
        return None, f"The device could not be compared: {first_line(error)}"


def _from_service(wanted: RunQuestion) -> Recommendation | None:
    """Its recommendation for this device, which is also saved for when the service is away."""
    from app.client import Client

    def ask() -> list[RecommendationOut]:
        assert wanted.server is not None
        with Client(wanted.server, wanted.api_key, PATIENCE_S, attempts=1) as tonnage:
            if wanted.recommendation_id:
                return [tonnage.recommendation(wanted.recommendation_id)]
            listed = tonnage.recommendations(
                workload=wanted.workload,
                budget=wanted.budget,
                fingerprint=wanted.here.fingerprint if wanted.here else None,
            )
            return list(islice(listed, MOST_COMPARED))

    told = within(PATIENCE_S, f"The service at {wanted.server}", ask)
    found = _preferred(wanted, [Recommendation.from_dict(each.model_dump()) for each in told])
    if found is None:
        return None
    keep(LAST_KNOWN, _key(wanted), found.to_dict(), ())
    return found


def _from_store(wanted: RunQuestion) -> Stored:
    database = open_database(wanted.database_url)
    try:
        found = _stored(database, wanted)
        if found is None:
            return Stored(tune=tune_line_of(database, wanted.workload or UNNAMED))
        return Stored(found, devices.fingerprint_of(database, found.fingerprint))
    finally:
        database.close()


def _stored(database: Database, wanted: RunQuestion) -> Recommendation | None:
    """The one that is named, else the preferred one of this device, else of one of its name."""
    if wanted.recommendation_id:
        try:
            return service.exactly(database, wanted.recommendation_id)
        except NotFound:
            return None
    asked: dict[str, Any] = {
        "workload": wanted.workload,
        "budget": wanted.budget,
        "limit": MOST_COMPARED,
    }
    if wanted.here is not None:
        here = service.listing(database, fingerprint=wanted.here.fingerprint, **asked)
        if here:
            return _preferred(wanted, here)
        asked["device"] = wanted.here.device
    return _preferred(wanted, service.listing(database, **asked))


def _preferred(wanted: RunQuestion, found: Sequence[Recommendation]) -> Recommendation | None:
    return preferred(found, most_bytes=wanted.here.total_bytes if wanted.here else None)


def _last_known(wanted: RunQuestion) -> Recommendation | None:
    """An answer of any age: a warning says that it is used."""
    try:
        return Recommendation.from_dict(kept(LAST_KNOWN, _key(wanted), longest_s=math.inf) or {})
    except (ValueError, TypeError):
        return None


def _key(wanted: RunQuestion) -> dict[str, str | None]:
    return {
        "server": wanted.server,
        "workload": wanted.workload,
        "budget": wanted.budget,
        "recommendation": wanted.recommendation_id,
        "device": wanted.here.device if wanted.here else None,
    }
