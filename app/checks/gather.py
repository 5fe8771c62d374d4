"""From a question to a plan and everything that is stored about it: what the plan leaves out, the
memory and the time there is for it, its measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.checks.measured import runs_of
from app.checks.plan import CycleWindow, MeasuredRun, Room, RunPlan
from app.checks.request import CheckRequest, ConfiguredLimits
from app.checks.rows import Rows, document_of
from app.errors import NotFound
from app.machine.local_facts import DeviceNow
from probes.errors import InputError
from probes.levers import LEVERS, pinned
from probes.space import dimension_from_dict, smallest, unknown_name

LIFTS = "To lift it: "
"""How an explanation's line begins that says what would help."""


@dataclass(frozen=True)
class CheckInputs:
    """Everything that ``decide`` needs, and where it comes from."""

    plan: RunPlan
    room: Room
    runs: list[MeasuredRun]
    here: DeviceNow
    recommendation: dict[str, Any] | None
    hints: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What was assumed."""

    @property
    def recommendation_id(self) -> str | None:
        return str(self.recommendation["id"]) if self.recommendation else None


def gather(rows: Rows, asked: CheckRequest, limits: ConfiguredLimits) -> CheckInputs:
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
    plan = RunPlan(
        workload, config, asked.batch_size, int(accumulation), _window(asked, base, limits)
    )
    runs = runs_of(rows, plan, asked, here)
    return CheckInputs(plan, _room(asked, base, here, runs, limits), runs, here, base,
                 _hints(base, plan), notes)  # fmt: skip


def _named_device(rows: Rows, device: str | None) -> DeviceNow:
    if device is None:
        raise NotFound("A check needs a device: name one that has results with --device.")
    known = rows(
        "SELECT key, kind, name, document FROM tonnage_devices ORDER BY last_seen_at DESC, id DESC"
    )
    for key, kind, name, document in known:
        if device in (key, name):
            groups = document_of(document)
            total = groups.get("device_class", {}).get("total_bytes")
            return DeviceNow(
                name, kind, name, key, groups, total if isinstance(total, int) else None
            )
    raise NotFound(
        unknown_name("device", device, [f"{name} ({key})" for key, _, name, _ in known])
        + " These have results; leave --device out for the one here."
    )


def _recommendation(
    rows: Rows, asked: CheckRequest, here: DeviceNow, notes: list[str]
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
    rows: Rows, asked: CheckRequest, workload: str, base: Mapping[str, Any] | None, notes: list[str]
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
            config[name] = smallest(checked)[name]
            notes.append(f"{name}={config[name]}, the smallest: the plan does not say")
    return {name: config[name] for name in [*names, *config] if name in config}


def _stored_space(rows: Rows, workload: str) -> dict[str, Any] | None:
    found = rows(
        "SELECT space FROM tonnage_workloads WHERE reference = :workload "
        "ORDER BY last_seen_at DESC, id DESC LIMIT 1",
        workload=workload,
    )
    return document_of(found[0][0]) if found else None


def _window(
    asked: CheckRequest, base: Mapping[str, Any] | None, limits: ConfiguredLimits
) -> CycleWindow | None:
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
        return CycleWindow(
            str(base["budget"]), int(base["cycle_batches"]), longest, study.get("time_scale", 1.0)
        )
    if asked.budget not in limits.windows:
        raise NotFound(unknown_name("budget", asked.budget, limits.windows))
    longest, batches = limits.windows[asked.budget]
    if scale is None:
        scale = study.get("time_scale", 1.0) if named else 1.0
    return CycleWindow(asked.budget, batches, None if longest is None else longest * scale, scale)


def _room(
    asked: CheckRequest,
    base: Mapping[str, Any] | None,
    here: DeviceNow,
    runs: Sequence[MeasuredRun],
    limits: ConfiguredLimits,
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


def _hints(base: Mapping[str, Any] | None, plan: RunPlan) -> list[str]:
    if base is None or base["config"] != plan.config:
        return []
    lines = [line for line in base.get("explanation", []) if line.startswith(LIFTS)]
    return [line.removeprefix(LIFTS).rstrip(".") for line in lines]
