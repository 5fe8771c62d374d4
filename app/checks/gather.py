"""What is stored that says something about a planned run.

The SQL is written once for two ways of running it: through SQLAlchemy in the service, and straight
through ``sqlite3`` for a check that has to answer before SQLAlchemy would be imported. So it is
plain text with named parameters.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.checks.asked import Asked, Here, Limits
from app.checks.plan import Plan, Room, Run, StepSeconds, Window
from app.database.floats import decoded
from optimizer.scope import Scope, short_hash
from probes.errors import InputError
from probes.levers import LEVERS, pinned
from probes.space import Choice, Int, dimension_from_dict, unknown_name

MOST_RUNS = 200
MOST_OTHERS = 20
"""Measurements of the config that are looked at: on the device, and elsewhere."""
LIFTS = "To lift it: "
"""How an explanation's line begins that says what would help."""

Row = tuple[Any, ...]


class Rows(Protocol):
    """Runs a statement; named parameters are written ``:name``."""

    def __call__(self, sql: str, **parameters: Any) -> Sequence[Row]: ...


@dataclass(frozen=True)
class Found:
    """Everything that ``decide`` needs, and where it comes from."""

    plan: Plan
    room: Room
    runs: list[Run]
    here: Here
    recommendation: dict[str, Any] | None
    hints: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was assumed."""

    @property
    def recommendation_id(self) -> str | None:
        return str(self.recommendation["id"]) if self.recommendation else None


def gather(rows: Rows, asked: Asked, limits: Limits) -> Found:
    """Raises ``InputError`` for a plan that cannot be one: an unknown device, budget, dimension."""
    here = asked.here or _named_device(rows, asked.device)
    notes = list(asked.notes)
    base = _recommendation(rows, asked, here, notes)
    workload = asked.workload or (str(base["workload"]) if base else None)
    if workload is None:
        raise InputError(
            f"Recommendation {asked.recommendation_id} is not stored here, so what is trained is "
            "not known: name it with --workload, or the service that has it with --server."
        )
    config = _config(rows, asked, workload, base, notes)
    accumulation = asked.accumulation or config.get("accumulation")
    if accumulation is None:
        accumulation = int(base["accumulation"]) if base else 1
        if accumulation != 1:
            notes.append(f"accumulation {accumulation}, as recommended")
    plan = Plan(workload, config, asked.batch_size, int(accumulation), _window(asked, base, limits))
    runs = _runs(rows, plan, asked, here)
    return Found(plan, _room(asked, base, here, runs, limits), runs, here, base,
                 _hints(base, plan), notes)  # fmt: skip


def _named_device(rows: Rows, device: str | None) -> Here:
    if device is None:
        raise InputError("A check needs a device: name one that has results with --device.")
    known = rows(
        "SELECT key, kind, name, document FROM tonnage_devices ORDER BY last_seen_at DESC, id DESC"
    )
    for key, kind, name, document in known:
        if device in (key, name):
            groups = document_of(document)
            total = groups.get("device_class", {}).get("total_bytes")
            return Here(name, kind, name, key, groups, total if isinstance(total, int) else None)
    raise InputError(
        unknown_name("device", device, [f"{name} ({key})" for key, _, name, _ in known])
        + " These have results; leave --device out for the one here."
    )


def _recommendation(
    rows: Rows, asked: Asked, here: Here, notes: list[str]
) -> dict[str, Any] | None:
    """The one the plan names, else the newest of this workload on this device."""
    if asked.recommendation_id is not None:
        found = rows(
            "SELECT document FROM tonnage_recommendations WHERE id = :id",
            id=asked.recommendation_id,
        )
        if found:
            document = document_of(found[0][0])
            if asked.workload in (None, document["workload"]):
                return document
            notes.append(
                f"{asked.recommendation_id} is of {document['workload']}, not of {asked.workload}: "
                "not looked at"
            )
        else:
            notes.append(f"{asked.recommendation_id}, which the plan names, is not stored here")
    if asked.workload is None:
        return None
    wanted = {"workload": asked.workload, "fingerprint": here.fingerprint}
    if asked.budget is not None:
        wanted["budget"] = asked.budget
    where = " AND ".join(f"{name} = :{name}" for name in wanted)
    found = rows(
        f"SELECT document FROM tonnage_recommendations WHERE {where} "
        "ORDER BY created_at DESC, id DESC LIMIT 1",
        **wanted,
    )
    return document_of(found[0][0]) if found else None


def _config(
    rows: Rows, asked: Asked, workload: str, base: Mapping[str, Any] | None, notes: list[str]
) -> dict[str, Any]:
    """The planned config: what is given, then what was recommended, then the smallest of each
    dimension, as in ``tonnage probe``."""
    space = asked.space if asked.space is not None else _stored_space(rows, workload)
    config = dict(asked.config)
    recommended = dict(base["config"]) if base else {}
    if space is None:
        if config.keys() - recommended.keys() - LEVERS.keys() and recommended:
            unknown = sorted(config.keys() - recommended.keys() - LEVERS.keys())[0]
            raise InputError(unknown_name("dimension", unknown, [*recommended, *LEVERS]))
        names: list[str] = list(recommended)
    else:
        dimensions = {name: dimension_from_dict(each) for name, each in space.items()}
        checked = pinned(dimensions, config)
        names = [*dimensions, *(name for name in recommended if name not in dimensions)]
    for name in names:
        if name in config:
            continue
        if name in asked.offered:
            config[name] = asked.offered[name]
        elif name in recommended:
            config[name] = recommended[name]
            notes.append(f"{name}={recommended[name]}, as recommended")
        elif space is not None and name in checked:
            dimension = checked[name]
            least = dimension.values()[0] if isinstance(dimension, (Int, Choice)) else dimension.low
            config[name] = least
            notes.append(f"{name}={least}, the smallest: the plan does not say")
    return {name: config[name] for name in [*names, *config] if name in config}


def _stored_space(rows: Rows, workload: str) -> dict[str, Any] | None:
    found = rows(
        "SELECT space FROM tonnage_workloads WHERE reference = :workload "
        "ORDER BY last_seen_at DESC, id DESC LIMIT 1",
        workload=workload,
    )
    return document_of(found[0][0]) if found else None


def _window(asked: Asked, base: Mapping[str, Any] | None, limits: Limits) -> Window | None:
    """Of the budget that is asked for, else of the one the plan's recommendation was made for."""
    named = base is not None and asked.recommendation_id == base["id"]
    study = base["study"] if base is not None else {}
    scale = asked.time_scale
    if asked.budget is None:
        if not named or base is None:
            return None
        made_for = study.get("budget") or {}
        target = made_for.get("target_s")
        longest = None if target is None else target + made_for.get("flexibility_s", 0.0)
        return Window(
            str(base["budget"]), int(base["cycle_batches"]), longest, study.get("time_scale", 1.0)
        )
    if asked.budget not in limits.windows:
        raise InputError(unknown_name("budget", asked.budget, limits.windows))
    longest, batches = limits.windows[asked.budget]
    if scale is None:
        scale = study.get("time_scale", 1.0) if named else 1.0
    return Window(asked.budget, batches, None if longest is None else longest * scale, scale)


def _room(
    asked: Asked,
    base: Mapping[str, Any] | None,
    here: Here,
    runs: Sequence[Run],
    limits: Limits,
) -> Room:
    """The memory asked for, else what the recommendation was made with, else the most that
    something was measured with (a smaller budget was an emulation), else the device's."""
    total = here.total_bytes
    limit = asked.memory_budget_bytes
    if limit is None and base is not None:
        limit = int(base["limit_bytes"])
    if limit is None:
        limit = max((run.limit_bytes or 0 for run in runs if not run.changes), default=0)
    limit = limit or total
    if not limit:
        raise InputError(
            f"How much memory {here.device} has is not known: give it with --memory-budget."
        )
    if total is not None and limit > total:
        limit = total
    headroom = asked.headroom
    if headroom is None:
        headroom = float(base["headroom"]) if base else limits.headroom
    return Room(limit, headroom, total, here.free_bytes)


def _hints(base: Mapping[str, Any] | None, plan: Plan) -> list[str]:
    if base is None or base["config"] != plan.config:
        return []
    lines = [line for line in base.get("explanation", []) if line.startswith(LIFTS)]
    return [line.removeprefix(LIFTS).rstrip(".") for line in lines]


# -- measurements --------------------------------------------------------------------------------

_COLUMNS = (
    "m.id, m.study_id, m.scope_key, m.device, m.fingerprint, m.batch_size, m.purpose, m.verdict, "
    "m.reason, m.peak_bytes, m.limit_bytes, m.tainted, m.document"
)


def _runs(rows: Rows, plan: Plan, asked: Asked, here: Here) -> list[Run]:
    hashes = {f"h{n}": each for n, each in enumerate(sorted(config_hashes(plan.config)))}
    where = f"m.workload = :workload AND m.config_hash IN ({', '.join(f':{n}' for n in hashes)})"
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
    plan: Plan,
    asked: Asked,
    here: Here,
    specs: Mapping[str, Mapping[str, Any]],
    devices: Mapping[str, tuple[str, str, dict[str, Any]]],
) -> Run:
    measured = document_of(row[-1])
    fingerprint = str(row[4])
    kind, name, groups = devices.get(fingerprint, ("", str(row[3]), {}))
    if fingerprint == here.fingerprint:
        kind, name = here.kind, here.name
    timing = measured.get("step_time")
    return Run(
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
    plan: Plan,
    asked: Asked,
    here: Here,
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
    if before and not found and not _same_scope(row, measured, before, plan, asked):
        return [source]
    return found


def _same_scope(
    row: Row,
    measured: Mapping[str, Any],
    environment: dict[str, str],
    plan: Plan,
    asked: Asked,
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


def _device_changes(fingerprint: str, groups: Mapping[str, Any], here: Here) -> list[str]:
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
    names = {f"s{n}": each for n, each in enumerate(sorted(studies))}
    found = rows(
        f"SELECT id, spec FROM tonnage_studies WHERE id IN ({', '.join(f':{n}' for n in names)})",
        **names,
    )
    return {study: document_of(spec) for study, spec in found}


def _devices(rows: Rows, keys: set[str]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    if not keys:
        return {}
    names = {f"k{n}": each for n, each in enumerate(sorted(keys))}
    found = rows(
        "SELECT key, kind, name, document FROM tonnage_devices "
        f"WHERE key IN ({', '.join(f':{n}' for n in names)})",
        **names,
    )
    return {key: (kind, name, document_of(document)) for key, kind, name, document in found}


def document_of(stored: Any) -> dict[str, Any]:
    """A JSON column: text in SQLite, read already from PostgreSQL."""
    found: dict[str, Any] = decoded(json.loads(stored) if isinstance(stored, str) else stored)
    return found
