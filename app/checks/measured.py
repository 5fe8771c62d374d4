"""The stored measurements of a planned config, and what has changed since each of them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy.orm import Session

from app.checks import repository
from app.checks.plan import MeasuredRun, RunPlan, StepSeconds
from app.checks.request import CheckRequest
from app.database.models.results import DeviceRow, MeasurementRow
from app.devices import repository as devices
from app.machine.local_facts import DeviceNow
from app.validity.comparison import Conditions, Difference, compare
from app.validity.reported import conditions_of
from optimizer.scope import Scope, short_hash
from probes.group import group_of, is_group
from probes.levers import LEVERS, PARALLEL_LEVERS
from probes.space import Int


def runs_of(
    session: Session, plan: RunPlan, asked: CheckRequest, here: DeviceNow
) -> list[MeasuredRun]:
    """Newest first, those on this device before those from elsewhere."""
    hashes = config_hashes(plan.config) | _hashes_with_other_ranks(plan)
    found = repository.measurements(session, plan.workload, hashes, here.fingerprint)
    studies = {row.study_id for row in found if row.study_id is not None}
    sources = repository.source_hashes(session, studies)
    elsewhere = devices.of_keys(session, {row.fingerprint for row in found} - {here.fingerprint})
    now = conditions_of(here, asked.workload_hash)
    return [
        _run(
            row, here, elsewhere.get(row.fingerprint), compare(plan.workload, then, now).differences
        )
        for row in found
        for then in [_conditions(row, now, sources, elsewhere.get(row.fingerprint))]
    ]


def config_hashes(config: Mapping[str, Any]) -> set[str]:
    """The hashes of every way to write the config: a lever at its default may be named or left out,
    and accumulation may have been stated as an effective batch size instead."""
    given = {n: v for n, v in config.items() if n != "accumulation"}
    single = [name for name in LEVERS if name not in PARALLEL_LEVERS]
    optional = {n: _default(n) for n in single if n not in given or given[n] == _default(n)}
    optional.pop("accumulation", None)
    fixed = {n: v for n, v in given.items() if n not in optional}
    found = set()
    for chosen in itertools.product((False, True), repeat=len(optional)):
        extra = {n: v for (n, v), is_in in zip(optional.items(), chosen, strict=True) if is_in}
        found.add(short_hash({**fixed, **extra}))
        if config.get("accumulation") is not None:
            found.add(short_hash({**fixed, **extra, "accumulation": config["accumulation"]}))
    return found


def _hashes_with_other_ranks(plan: RunPlan) -> set[str]:
    """The hashes of the config as another number of devices trains it: to say that it was measured
    there, and never to compare with it."""
    config = {name: value for name, value in plan.config.items() if name not in PARALLEL_LEVERS}
    return config_hashes(config) | config_hashes({**config, "parallel": "ddp"})


def _default(lever: str) -> Any:
    dimension = LEVERS[lever]
    return dimension.low if isinstance(dimension, Int) else dimension.options[0]


def _run(
    row: MeasurementRow, here: DeviceNow, device: DeviceRow | None, changes: list[Difference]
) -> MeasuredRun:
    measured = row.document
    kind, name = (device.kind, device.name) if device else ("", row.device)
    if row.fingerprint == here.fingerprint:
        kind, name = here.kind, here.name
    timing = measured.get("step_time")
    return MeasuredRun(
        id=row.id,
        batch_size=row.batch_size,
        accumulation=int(measured.get("accumulation", 1)),
        confirmed=row.purpose == "confirm",
        verdict=row.verdict,
        reason=row.reason,
        peak_bytes=row.peak_bytes,
        limit_bytes=row.limit_bytes,
        cap_bytes=measured.get("cap_bytes"),
        static_bytes=measured.get("static_bytes"),
        requested_bytes=measured.get("requested_bytes"),
        step=StepSeconds(timing["mean_s"], timing["low_s"], timing["high_s"]) if timing else None,
        tainted=row.tainted,
        memory_tainted=bool((measured.get("state") or {}).get("memory_taints")),
        refused=row.verdict == "unsupported" and measured.get("phase") in ("start", "build"),
        device=name,
        measured_at=str(measured.get("started_at", "")),
        changes=tuple(each.words for each in changes),
        elsewhere=bool(kind) and kind != here.kind,
        ranks=_ranks(row),
    )


def _ranks(row: MeasurementRow) -> int:
    told = len(row.document.get("ranks") or ())
    return told or (group_of(row.device).size if is_group(row.device) else 0)


def _conditions(
    row: MeasurementRow,
    now: Conditions,
    sources: Mapping[str, str | None],
    device: DeviceRow | None,
) -> Conditions:
    """What it was measured with. The source is looked up on this device only: on another one the
    answer is stale in any case, and names what is different about the device."""
    then = Conditions(fingerprint=row.fingerprint, groups=device.groups if device else None)
    if row.fingerprint != now.fingerprint:
        return then
    environment = row.document.get("environment") or {}
    before = dict(environment.get("allocator") or {})
    if "threads" in environment:
        before["threads"] = str(environment["threads"])
    if row.study_id is not None and row.study_id in sources:
        source_hash = sources[row.study_id]
    else:
        source_hash = _source_hash_of_probe(row, before or now.environment, now)
    return replace(then, environment=before, source_hash=source_hash)


def _source_hash_of_probe(
    row: MeasurementRow, environment: Mapping[str, str] | None, now: Conditions
) -> str | None:
    """The source of a probe without a study. It is only a part of the scope's key, so it can be
    recognised if everything else in that key is the same now, and is unknown otherwise. A worker
    that died reported no environment; it is assumed to be the present one."""
    same_environment = now.environment is None or environment == now.environment
    if now.source_hash is None or not environment or not same_environment:
        return None
    micro_batches = int(row.document.get("accumulation", 1))
    keys = [
        Scope(
            workload=row.workload,
            workload_hash=now.source_hash,
            fingerprint=row.fingerprint,
            device=row.device,
            limit_bytes=row.limit_bytes,
            headroom=row.document.get("headroom", 0.0),
            effective_batch_size=effective,
            environment=dict(environment),
        ).key
        for effective in (None, row.batch_size * micro_batches * row.data_parallel)
    ]
    return now.source_hash if row.scope_key in keys else "another"
