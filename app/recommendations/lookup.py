"""The recommendation for a device: one that was measured on it, or the nearest prior.

A prior was measured on another device, or on this one under other conditions. It is a starting
point, not a promise that anything fits, so the answer keeps it apart from a recommendation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sqlalchemy.orm import Session

from app.database import Database
from app.database.models.results import DeviceRow
from app.devices import repository as devices
from app.errors import NothingComparable
from app.recommendations import repository
from app.recommendations.preferred import preferred
from app.recommendations.schemas import LookupQuery
from app.settings import Settings
from app.settings.fields import NAME
from app.validity.comparison import Conditions, compare, measured_with
from app.workloads.again import tune_line
from app.workloads.registry import registered
from optimizer.records import Recommendation
from probes.group import group_of, is_group
from probes.space import unknown_name

MOST_CANDIDATES = 500
"""Recommendations of a workload and budget that are compared, newest first."""


@dataclass(frozen=True)
class LookupResult:
    """What was found."""

    match: Literal["exact", "prior"]
    recommendation: Recommendation
    differences: list[str] = field(default_factory=list)
    """Why it is only a prior, in words."""


@dataclass(frozen=True)
class _Device:
    """What is known of the requested device."""

    record: DeviceRow | None
    class_key: str
    kind: str
    total_bytes: int | None
    ranks: int
    """Number of devices that train as one; 0 for a single device."""


def lookup(
    database: Database, wanted: LookupQuery, settings: Settings | None = None
) -> LookupResult:
    """The newest recommendation that was measured on this very device, otherwise the nearest prior.
    Raises ``NothingComparable``, which names the command that measures, or the name in the question
    that neither the store nor ``settings`` know."""
    with database.read() as session:
        candidates = [
            each
            for each in repository.listing(
                session, workload=wanted.workload, budget=wanted.budget, limit=MOST_CANDIDATES
            )
            if each.study.get("time_scale", 1.0) == wanted.time_scale
        ]
        target = _target(session, wanted, candidates)
        keys = {each.fingerprint for each in candidates}
        known = devices.of_keys(session, keys)
    exact = _exact(candidates, known, wanted)
    if exact is not None:
        return LookupResult("exact", exact)
    ranked = [
        (rank, number, each)
        for number, each in enumerate(candidates)
        if (rank := _rank(each, known.get(each.fingerprint), target, wanted)) is not None
    ]
    if not ranked:
        unknown = "" if settings is None else _unknown(database, wanted, settings)
        raise NothingComparable(unknown or _nothing(wanted, candidates))
    best = min(ranked)[2]
    return LookupResult(
        "prior", best, _differences(best, known.get(best.fingerprint), target, wanted)
    )


def _exact(
    candidates: Sequence[Recommendation], known: Mapping[str, DeviceRow], wanted: LookupQuery
) -> Recommendation | None:
    """The preferred one of those measured on this device, with this memory and source."""
    here = [each for each in candidates if _is_exact(each, known.get(each.fingerprint), wanted)]
    if wanted.fingerprint is None and len({each.fingerprint for each in here}) != 1:
        return None  # a name such as cuda:0 means a device only where one machine has sent results
    return preferred(here, time_scale=wanted.time_scale)


def _is_exact(each: Recommendation, record: DeviceRow | None, wanted: LookupQuery) -> bool:
    same_device = _is_same_device(each, record, wanted)
    same_memory = wanted.memory_bytes in (None, each.limit_bytes)
    same_source = wanted.workload_hash in (None, each.valid.get("workload_hash"))
    return same_device and same_memory and same_source


def _is_same_device(each: Recommendation, record: DeviceRow | None, wanted: LookupQuery) -> bool:
    if wanted.fingerprint is not None:
        return each.fingerprint == wanted.fingerprint
    return wanted.device is not None and wanted.device in (each.device, record and record.name)


def _rank(
    each: Recommendation, record: DeviceRow | None, target: _Device, wanted: LookupQuery
) -> tuple[int, int, float] | None:
    """A sort key, the nearest first; ``None`` for another kind or number of devices, which says
    nothing.

    The same device comes first, then the same class, then the same kind; among these the same
    source, then the nearest memory.
    """
    kind = record.kind if record else each.device.partition(":")[0]
    if _ranks(record, each.device) != target.ranks:
        return None
    if _is_same_device(each, record, wanted):
        nearness = 0
    elif target.class_key and record is not None and record.class_key == target.class_key:
        nearness = 1
    elif target.kind in ("", kind):
        nearness = 2
    else:
        return None
    same_source = wanted.workload_hash in (None, each.valid.get("workload_hash"))
    memory_bytes = wanted.memory_bytes or target.total_bytes
    apart = abs(math.log(each.limit_bytes / memory_bytes)) if memory_bytes else 0.0
    return nearness, 0 if same_source else 1, apart


def _target(session: Session, wanted: LookupQuery, candidates: Sequence[Recommendation]) -> _Device:
    """What is known of the device, from the store and from the question."""
    record = devices.find(session, wanted.fingerprint) if wanted.fingerprint else None
    if record is None and wanted.device is not None:
        record = devices.named(session, wanted.device)
    kind = wanted.kind or (record.kind if record else (wanted.device or "").partition(":")[0])
    class_key = wanted.class_key or (record.class_key if record else "")
    return _Device(
        record,
        class_key,
        kind,
        record.total_bytes if record else None,
        _ranks(record, wanted.device or ""),
    )


def _ranks(record: DeviceRow | None, device: str) -> int:
    told = record.groups.identity.get("ranks") if record and record.groups else None
    if isinstance(told, int):
        return told
    return group_of(device).size if is_group(device) else 0


def _differences(
    each: Recommendation, record: DeviceRow | None, target: _Device, wanted: LookupQuery
) -> list[str]:
    """The differences from what it was measured with to what is requested."""
    then = measured_with(each, record.groups if record else None)
    now = Conditions(
        fingerprint=wanted.fingerprint,
        groups=target.record.groups if target.record else None,
        limit_bytes=wanted.memory_bytes or target.total_bytes,
        source_hash=wanted.workload_hash,
    )
    if now.groups is not None:
        now = replace(now, fingerprint=now.groups.key)
    found = [difference.words for difference in compare(each.workload, then, now).differences]
    if now.fingerprint is None:  # the store has not seen the requested device
        asked = wanted.device or wanted.kind or "none in particular"
        name = record.name if record else each.device
        found.insert(0, f"device {name} ({each.fingerprint}) -> {asked}")
    return found


def _unknown(database: Database, wanted: LookupQuery, settings: Settings) -> str:
    """Names in the question that nobody knows. A workload in a file or a module need not be known
    here."""
    with database.read() as session:
        workloads, budgets, _ = repository.choices(session)
    workloads = sorted({*registered(settings), *workloads})
    budgets = [*(budgets_here := settings.budget_table()), *(set(budgets) - budgets_here.keys())]
    found = []
    if NAME.fullmatch(wanted.workload) and wanted.workload not in workloads:
        found.append(unknown_name("workload", wanted.workload, workloads))
    if wanted.budget not in budgets:
        found.append(unknown_name("budget", wanted.budget, budgets))
    return " ".join(found)


def _nothing(wanted: LookupQuery, candidates: Sequence[Recommendation]) -> str:
    where = wanted.fingerprint or wanted.device or wanted.kind or "any device"
    scaled = f" with times scaled by {wanted.time_scale:g}" if wanted.time_scale != 1.0 else ""
    others = sorted({each.device for each in candidates})
    seen = f" (only on {', '.join(others)})" if others else ""
    options = candidates[0].valid.get("workload_options") if candidates else None
    tune = tune_line(wanted.workload, options)
    return (
        f"No recommendation for {wanted.workload}, budget {wanted.budget}{scaled}, on {where} or "
        f"one like it{seen}. Measure it there with: {tune} --budget {wanted.budget}"
    )
