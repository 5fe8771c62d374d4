"""What was measured of a planned config, and whether what it was measured with still is what there
is."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from app.checks.plan import MeasuredRun, RunPlan, StepSeconds
from app.checks.request import CheckRequest
from app.checks.rows import Row, Rows, document_of, each_of
from app.machine.local_facts import DeviceNow
from optimizer.scope import Scope, short_hash
from probes.levers import LEVERS
from probes.space import Int

MOST_RUNS = 200
MOST_OTHERS = 20
"""Measurements of the config that are looked at: on the device, and elsewhere."""

_COLUMNS = (
    "m.id, m.study_id, m.scope_key, m.device, m.fingerprint, m.batch_size, m.purpose, m.verdict, "
    "m.reason, m.peak_bytes, m.limit_bytes, m.tainted, m.document"
)


def runs_of(rows: Rows, plan: RunPlan, asked: CheckRequest, here: DeviceNow) -> list[MeasuredRun]:
    marks, hashes = each_of("h", config_hashes(plan.config))
    where = f"m.workload = :workload AND m.config_hash IN ({marks})"
    parameters = {"workload": plan.workload, "fingerprint": here.fingerprint, **hashes}
    found = [
        row
        for sign, most in (("=", MOST_RUNS), ("<>", MOST_OTHERS))
        for row in rows(
            f"SELECT {_COLUMNS} FROM tonnage_measurements m WHERE {where} "
            f"AND m.fingerprint {sign} :fingerprint ORDER BY m.id DESC LIMIT {most}",
            **parameters,
        )
    ]
    specs = _specs(rows, {row[1] for row in found if row[1] is not None})
    devices = _devices(rows, {row[4] for row in found} - {here.fingerprint, ""})
    return [_run(row, plan, asked, here, specs, devices) for row in found]


def config_hashes(config: Mapping[str, Any]) -> set[str]:
    """Of the config, however much of what it leaves at its default it says: a lever that is not
    named is at its default, and accumulation may be stated as an effective batch size instead."""
    given = {n: v for n, v in config.items() if n != "accumulation"}
    optional = {n: _default(n) for n in LEVERS if n not in given or given[n] == _default(n)}
    optional.pop("accumulation", None)
    fixed = {n: v for n, v in given.items() if n not in optional}
    found = set()
    for chosen in itertools.product((False, True), repeat=len(optional)):
        extra = {n: v for (n, v), is_in in zip(optional.items(), chosen, strict=True) if is_in}
        found.add(short_hash({**fixed, **extra}))
        if config.get("accumulation") is not None:
            found.add(short_hash({**fixed, **extra, "accumulation": config["accumulation"]}))
    return found


def _default(lever: str) -> Any:
    dimension = LEVERS[lever]
    return dimension.low if isinstance(dimension, Int) else dimension.options[0]


def _run(
    row: Row,
    plan: RunPlan,
    asked: CheckRequest,
    here: DeviceNow,
    specs: Mapping[str, Mapping[str, Any]],
    devices: Mapping[str, tuple[str, str, dict[str, Any]]],
) -> MeasuredRun:
    measured = document_of(row[-1])
    fingerprint = str(row[4])
    kind, name, groups = devices.get(fingerprint, ("", str(row[3]), {}))
    if fingerprint == here.fingerprint:
        kind, name = here.kind, here.name
    timing = measured.get("step_time")
    return MeasuredRun(
        id=row[0],
        batch_size=row[5],
        accumulation=int(measured.get("accumulation", 1)),
        confirmed=row[6] == "confirm",
        verdict=row[7],
        reason=row[8],
        peak_bytes=row[9],
        limit_bytes=row[10],
        cap_bytes=measured.get("cap_bytes"),
        static_bytes=measured.get("static_bytes"),
        requested_bytes=measured.get("requested_bytes"),
        step=_seconds(timing) if timing else None,
        tainted=bool(row[11]),
        memory_tainted=bool((measured.get("state") or {}).get("memory_taints")),
        refused=row[7] == "unsupported" and measured.get("phase") in ("start", "build"),
        device=name,
        measured_at=str(measured.get("started_at", "")),
        changes=tuple(_changes(row, measured, plan, asked, here, specs, groups)),
        elsewhere=bool(kind) and kind != here.kind,
    )


def _seconds(timing: Mapping[str, Any]) -> StepSeconds:
    return StepSeconds(timing["mean_s"], timing["low_s"], timing["high_s"])


def _changes(
    row: Row,
    measured: Mapping[str, Any],
    plan: RunPlan,
    asked: CheckRequest,
    here: DeviceNow,
    specs: Mapping[str, Mapping[str, Any]],
    groups: Mapping[str, Any],
) -> list[str]:
    """From what it was measured with to what is here now; empty where nothing differs."""
    fingerprint = str(row[4])
    if fingerprint != here.fingerprint:
        return _device_changes(fingerprint, groups, here)
    environment = measured.get("environment") or {}
    before = dict(environment.get("allocator") or {})
    if "threads" in environment:
        before["threads"] = str(environment["threads"])
    found = []
    if here.environment is not None and before:
        found = [
            f"{name} {before.get(name, 'unset')} -> {here.environment.get(name, 'unset')}"
            for name in sorted({*before, *here.environment})
            if before.get(name) != here.environment.get(name)
        ]
    if asked.workload_hash is None:
        return found
    source = f"the source or the options of {plan.workload} have changed"
    spec = specs.get(row[1] or "")
    if spec is not None:
        same = spec.get("scope", {}).get("workload_hash") == asked.workload_hash
        return found if same else [*found, source]
    known = before or here.environment  # a worker that died has not told its own
    if known and not found and not _same_scope(row, measured, known, plan, asked):
        return [source]
    return found


def _same_scope(
    row: Row,
    measured: Mapping[str, Any],
    environment: dict[str, str],
    plan: RunPlan,
    asked: CheckRequest,
) -> bool:
    """Whether a probe that belongs to no study was of the workload as it is now: that is kept only
    as a part of its scope's key."""
    micro_batches = int(measured.get("accumulation", 1))
    return any(
        row[2]
        == Scope(
            workload=plan.workload,
            workload_hash=str(asked.workload_hash),
            fingerprint=row[4],
            device=row[3],
            limit_bytes=row[10],
            headroom=measured.get("headroom", 0.0),
            effective_batch_size=effective,
            environment=environment,
        ).key
        for effective in (None, row[5] * micro_batches)
    )


def _device_changes(fingerprint: str, groups: Mapping[str, Any], here: DeviceNow) -> list[str]:
    if groups and here.document:
        from probes.devices.fingerprint import Fingerprint

        before, now = Fingerprint.from_dict(dict(groups)), Fingerprint.from_dict(here.document)
        alone = Fingerprint(before.identity, before.device_class)
        found = alone.differences(Fingerprint(now.identity, now.device_class))
        if found:
            return found
    return [f"fingerprint {fingerprint or 'unknown'} -> {here.fingerprint}"]


def _specs(rows: Rows, studies: set[str]) -> dict[str, dict[str, Any]]:
    if not studies:
        return {}
    marks, names = each_of("s", studies)
    found = rows(f"SELECT id, spec FROM tonnage_studies WHERE id IN ({marks})", **names)
    return {study: document_of(spec) for study, spec in found}


def _devices(rows: Rows, keys: set[str]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    if not keys:
        return {}
    marks, names = each_of("k", keys)
    found = rows(
        f"SELECT key, kind, name, document FROM tonnage_devices WHERE key IN ({marks})", **names
    )
    return {key: (kind, name, document_of(document)) for key, kind, name, document in found}
