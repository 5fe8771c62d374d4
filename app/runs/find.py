"""Which recommendation a training run starts with: from a service or the local store, and whether
it still holds. A service that is away never keeps a run from starting."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.deadline import within
from app.machine.disk_cache import folder
from app.machine.local_facts import DeviceNow
from optimizer.records import Recommendation
from optimizer.scope import short_hash
from probes.errors import MeasurementError, TonnageError

if TYPE_CHECKING:
    from app.recommendations.schemas import RecommendationOut

log = logging.getLogger(__name__)

PATIENCE_S = 3.0
"""How long a service has to answer before the last known value is taken."""
UNLIKE_OURS = "answered as no Tonnage service of this version does."


@dataclass(frozen=True)
class Wanted:
    """What is trained, and where."""

    workload: str | None
    budget: str | None
    recommendation_id: str | None
    here: DeviceNow | None
    workload_hash: str | None
    server: str | None
    api_key: str | None
    database_url: str


@dataclass(frozen=True)
class Found:
    """What was found, and why it may not hold."""

    recommendation: Recommendation | None
    doubts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def find(wanted: Wanted) -> Found:
    """Never raises for a service that is away. Raises ``InputError`` for a bad database."""
    warnings: list[str] = []
    found: Recommendation | None = None
    if wanted.server:
        try:
            found = _from_service(wanted)
        except (TonnageError, ValueError) as error:
            found = _last_known(wanted)
            then = f"the last known value ({found.id})" if found else "what is stored here"
            why = error if isinstance(error, TonnageError) else f"{wanted.server} {UNLIKE_OURS}"
            warnings.append(f"{why} Going on with {then}.")
    if found is None:
        try:
            found = _from_store(wanted)
        except MeasurementError as error:  # a database that does not answer keeps no run waiting
            warnings.append(str(error))
    if found is None:
        return Found(None, [], warnings)
    return Found(found, doubts(found, wanted), warnings)


def doubts(found: Recommendation, wanted: Wanted) -> list[str]:
    """What is different from what it was measured with."""
    reasons = []
    key = str(found.valid.get("fingerprint", ""))
    if wanted.here is not None and wanted.here.fingerprint != key:
        changed = f"fingerprint {key} -> {wanted.here.fingerprint}"
        reasons.append(f"it was measured on another device or software: {changed}")
    before = found.valid.get("workload_hash")
    if wanted.workload_hash not in (None, before):
        reasons.append(f"the source or the options of {found.workload} have changed")
    scale = found.study.get("time_scale", 1.0)
    if scale != 1.0:
        reasons.append(f"it is for a window scaled by {scale:g}")
    return reasons


def _from_service(wanted: Wanted) -> Recommendation | None:
    """What it has for this device; kept for when it is away."""
    from app.client import Client, NotFoundError

    def ask() -> RecommendationOut | None:
        assert wanted.server is not None
        with Client(wanted.server, wanted.api_key, PATIENCE_S, attempts=1) as tonnage:
            if wanted.recommendation_id:
                return tonnage.recommendation(wanted.recommendation_id)
            listed = tonnage.recommendations(
                workload=wanted.workload,
                budget=wanted.budget,
                fingerprint=wanted.here.fingerprint if wanted.here else None,
            )
            return next(iter(listed), None)

    try:
        out = within(PATIENCE_S, f"The service at {wanted.server}", ask)
    except NotFoundError:
        return None
    if out is None:
        return None
    found = Recommendation.from_dict(out.model_dump())
    _remember(wanted, found)
    return found


def _from_store(wanted: Wanted) -> Recommendation | None:
    from app.database import open_database
    from app.errors import NotFound
    from app.recommendations import service

    database = open_database(wanted.database_url)
    try:
        if wanted.recommendation_id:
            try:
                return service.exactly(database, wanted.recommendation_id)
            except NotFound:
                return None
        asked: dict[str, Any] = {"workload": wanted.workload, "budget": wanted.budget, "limit": 1}
        if wanted.here is not None:
            here = service.listing(database, fingerprint=wanted.here.fingerprint, **asked)
            if here:
                return here[0]
            asked["device"] = wanted.here.device
        stored = service.listing(database, **asked)
        return stored[0] if stored else None
    finally:
        database.close()


def _remember(wanted: Wanted, found: Recommendation) -> None:
    file = _last_known_file(wanted)
    temporary = file.with_suffix(".tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.write_text(json.dumps(found.to_dict()), encoding="utf-8")
        temporary.replace(file)
    except (OSError, ValueError) as error:
        log.debug("The recommendation could not be kept: %s", error)


def _last_known(wanted: Wanted) -> Recommendation | None:
    """However old: it is said that it is used."""
    try:
        kept = json.loads(_last_known_file(wanted).read_text(encoding="utf-8"))
        return Recommendation.from_dict(kept)
    except (OSError, ValueError, TypeError):
        return None


def _last_known_file(wanted: Wanted) -> Path:
    asked = [
        wanted.server,
        wanted.workload,
        wanted.budget,
        wanted.recommendation_id,
        wanted.here.device if wanted.here else None,
    ]
    return folder() / f"last-{short_hash(asked)}.json"
