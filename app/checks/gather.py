"""From a request to a plan and everything that is stored about it: the values that the request
leaves out, the memory and the time that are available, and the measurements."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from app.checks.measured import runs_of
from app.checks.plan import CycleWindow, MeasuredRun, Room, RunPlan
from app.checks.request import CheckRequest
from app.devices import repository as devices
from app.errors import NotFound
from app.machine import parallel
from app.machine.local_facts import DeviceNow
from app.recommendations import repository as recommendations
from app.settings import Settings
from app.workloads import repository as workloads
from app.workloads.again import settable, stored_options
from probes.errors import InputError
from probes.levers import LEVERS, pinned
from probes.space import dimension_from_dict, smallest, unknown_name

if TYPE_CHECKING:
    from optimizer.records import Recommendation

LIFTS = re.compile(r"To lift it(?:: |, (?:try )?)")
"""The beginning of a line of an explanation that says what would help. Earlier versions
stored it with a colon, and called the recommended batch "this batch"."""


@dataclass(frozen=True)
class CheckInputs:
    """Everything that ``decide`` needs."""

    plan: RunPlan
    room: Room
    runs: list[MeasuredRun]
    here: DeviceNow
    recommendation: Recommendation | None
    options: dict[str, Any] = field(default_factory=dict)
    """What the workload was measured with."""
    hints: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Assumptions, in words."""

    @property
    def recommendation_id(self) -> str | None:
        return self.recommendation.id if self.recommendation else None


def gather(session: Session, asked: CheckRequest, settings: Settings) -> CheckInputs:
    """Raises ``InputError`` for a plan that cannot be one: an unknown device, budget, dimension."""
    here = asked.here or _named_device(session, asked.device)
    notes = list(asked.notes)
    base = _recommendation(session, asked, here, notes)
    workload = asked.workload or (base.workload if base else None)
    if workload is None:
        raise InputError(
            f"Recommendation {asked.recommendation_id} is not stored here, so the workload is not "
            "known: name it with --workload, or name the service that has it with --server."
        )
    config = _config(session, asked, workload, base, notes)
    accumulation = asked.accumulation or config.get("accumulation")
    if accumulation is None:
        accumulation = base.accumulation if base else 1
        if accumulation != 1:
            notes.append(f"accumulation {accumulation}, as recommended")
    ranks = here.ranks or asked.ranks or 0
    if not ranks:
        parallel.check(asked.config, None)
    options = _options(session, workload, base)
    plan = RunPlan(
        workload,
        _as_trained(config, ranks, settings, workload),
        asked.batch_size,
        int(accumulation),
        _window(asked, base, settings),
        ranks,
        settable(workload, options),
    )
    runs = runs_of(session, plan, asked, here)
    return CheckInputs(plan, _room(asked, base, here, runs, settings), runs, here, base, options,
                 _hints(base, plan), notes)  # fmt: skip


def _as_trained(
    config: dict[str, Any], ranks: int, settings: Settings, workload: str
) -> dict[str, Any]:
    """The config of a group says how it trains, as that of a measurement does."""
    if not ranks or workload in settings.commands:
        return config
    return parallel.config_of_group(config)


def _options(session: Session, workload: str, base: Recommendation | None) -> dict[str, Any]:
    """What the workload was measured with: as its recommendation says, else the last time."""
    stored = base.valid.get("workload_options") if base is not None else None
    return dict(stored) if stored else stored_options(session, workload)


def _named_device(session: Session, device: str | None) -> DeviceNow:
    if device is None:
        raise NotFound("A check needs a device: name one that has results with --device.")
    known = devices.listing(session)
    for record in known:
        if device in (record.key, record.name):
            return DeviceNow(
                record.name,
                record.kind,
                record.name,
                record.key,
                record.document,
                total_bytes=record.total_bytes,
            )
    raise NotFound(
        unknown_name("device", device, [f"{each.name} ({each.key})" for each in known])
        + " These devices have results; leave --device out to use the one here."
    )


def _recommendation(
    session: Session, asked: CheckRequest, here: DeviceNow, notes: list[str]
) -> Recommendation | None:
    """The one the plan names, else the newest of this workload on this device."""
    if asked.recommendation_id is not None:
        named = recommendations.get(session, asked.recommendation_id)
        if named is None:
            notes.append(f"{asked.recommendation_id}, which the plan names, is not stored here")
        elif asked.workload in (None, named.workload):
            return named
        else:
            notes.append(
                f"{asked.recommendation_id} is for {named.workload}, not for {asked.workload}: "
                "ignored"
            )
    if asked.workload is None:
        return None
    found = recommendations.listing(
        session,
        workload=asked.workload,
        budget=asked.budget,
        fingerprint=here.fingerprint,
        limit=1,
    )
    return found[0] if found else None


def _config(
    session: Session,
    asked: CheckRequest,
    workload: str,
    base: Recommendation | None,
    notes: list[str],
) -> dict[str, Any]:
    """The planned config: what is given, then what was recommended, then the smallest of each
    dimension, as in ``tonnage probe``."""
    space = asked.space if asked.space is not None else _stored_space(session, workload)
    config = dict(asked.config)
    recommended = dict(base.config) if base else {}
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
            notes.append(f"{name}={config[name]}, the smallest, because the plan does not set it")
    return {name: config[name] for name in [*names, *config] if name in config}


def _stored_space(session: Session, workload: str) -> dict[str, Any] | None:
    """The space of the workload when it was last seen."""
    known = workloads.listing(session)
    return next((each.space for each in known if each.reference == workload), None)


def _window(
    asked: CheckRequest, base: Recommendation | None, settings: Settings
) -> CycleWindow | None:
    """The window of the requested budget, otherwise that of the plan's recommendation."""
    named = base is not None and asked.recommendation_id == base.id
    study = base.study if base is not None else {}
    scale = asked.time_scale
    if asked.budget is None:
        if not named or base is None:
            return None
        made_for = study.get("budget") or {}
        target = made_for.get("target_s")
        longest = None if target is None else target + made_for.get("flexibility_s", 0.0)
        return CycleWindow(base.budget, base.cycle_batches, longest, study.get("time_scale", 1.0))
    budgets = settings.budget_table()
    if asked.budget not in budgets:
        raise NotFound(unknown_name("budget", asked.budget, budgets))
    budget = budgets[asked.budget]
    longest = budget.longest_cycle_s
    if scale is None:
        scale = study.get("time_scale", 1.0) if named else 1.0
    longest_s = None if longest is None else longest * scale
    return CycleWindow(asked.budget, budget.cycle_batches, longest_s, scale)


def _room(
    asked: CheckRequest,
    base: Recommendation | None,
    here: DeviceNow,
    runs: Sequence[MeasuredRun],
    settings: Settings,
) -> Room:
    """The memory asked for, else what the recommendation was made with, else the most that
    something was measured with (a smaller budget was an emulation), else the device's."""
    total = here.total_bytes
    limit = asked.memory_budget_bytes
    if limit is None and base is not None:
        limit = base.limit_bytes
    if limit is None:
        limit = max((run.limit_bytes or 0 for run in runs if not run.changes), default=0)
    limit = limit or total
    if not limit:
        raise InputError(
            f"The memory size of {here.device} is not known: give it with --memory-budget."
        )
    if total is not None and limit > total:
        limit = total
    headroom = asked.headroom
    if headroom is None:
        headroom = base.headroom if base else settings.headroom
    return Room(limit, headroom, total, here.free_bytes)


def _hints(base: Recommendation | None, plan: RunPlan) -> list[str]:
    """What would lift the limit of the recommendation, where that is memory as it is here."""
    if base is None or base.config != plan.config or base.binding != "memory":
        return []
    lines = [line[at.end() :] for line in base.explanation if (at := LIFTS.match(line))]
    # Without what pages said of the lever then: that is looked up again, see ``evaluate``.
    own = [line.partition(". ")[0].rstrip(".") for line in lines]
    what = f": batch {base.batch_size} should"
    return [line.replace(": this batch should", what) for line in own]
