"""``/start``: request a study, with its search space and expected cost shown first."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.dashboard.device_choices import device_choices
from app.dashboard.forms import Form, FormDep
from app.dashboard.page import page
from app.dashboard.views.space import SpaceRow, pinned_of, rows_of
from app.http.resource import pages
from app.http.runtime import Service, ServiceDep
from app.jobs.live_devices import LiveDevices
from app.studies import service as jobs
from app.studies.cost import Cost, expected
from app.tuning.request import StudyRequest
from app.workloads.registry import registered
from app.workloads.space import Described, Describer, space_rules
from optimizer.budgets import Budget, Objective, budget_named
from optimizer.spaces import space_for
from probes.errors import InputError
from probes.formatting import parse_size
from probes.group import group_of, is_group
from probes.space import Space

router = pages("run")


@dataclass(frozen=True)
class StudyPlan:
    """The study that the form describes."""

    described: Described | None
    """``None`` until the search space has been read from the workload."""
    rows: list[SpaceRow] = field(default_factory=list)
    """All dimensions, before any is fixed."""
    cost: Cost | None = None
    budget: Budget | None = None
    problem: str = ""
    """Why it cannot be started as described; empty if it can."""


@router.get("/start")
def start_form(request: Request, service: ServiceDep) -> Response:
    """The form, filled in with the values in the address: other pages link here with some."""
    form = Form(request.query_params)
    return _form(request, service, form, _plan(service, form, ask=False))


@router.get("/start/plan")
def plan(request: Request, service: ServiceDep) -> Response:
    """The part of the form that follows from the rest. Reading the space from a workload takes
    seconds the first time."""
    form = Form(request.query_params)
    context = {"form": form, "plan": _plan(service, form, ask=True), **_choices(service)}
    return page(request, "_plan.html", context)


@router.post("/start")
def start(request: Request, service: ServiceDep, form: FormDep) -> Response:
    try:
        asked = _request(form)
        job = jobs.submit(service.database, asked, settings=service.settings)
    except InputError as error:
        found = _plan(service, form, ask=False)
        return _form(request, service, form, found, problem=str(error), status=422)
    service.work_arrived()
    return RedirectResponse(f"/studies/{job.id}", 303)


def _form(
    request: Request,
    service: Service,
    form: Form,
    found: StudyPlan,
    *,
    problem: str = "",
    status: int = 200,
) -> Response:
    context = {"form": form, "plan": found, "problem": problem, **_choices(service)}
    return page(request, "start.html", context, status=status)


def _choices(service: Service) -> dict[str, Any]:
    return {
        "workloads": sorted(registered(service.settings)),
        "budgets": service.settings.budget_table().values(),
        "devices": device_choices(service),
        "objectives": list(Objective),
    }


def _plan(service: Service, form: Form, *, ask: bool) -> StudyPlan:
    """``ask``: whether to read the space from a workload if it is not known yet."""
    settings = service.settings
    workload = form["workload"]
    if not workload:
        return StudyPlan(None)
    try:
        described = (
            Describer.of(service).describe(settings, workload)
            if ask
            else Describer.of(service).known(settings, workload)
        )
        if described is None:
            return StudyPlan(None)
        asked = _request(form)
        budget = budget_named(asked.budget, settings.budget_table())
        space = described.space
        rows = rows_of(_space(service, space, asked, {})) if space is not None else []
        left = _space(service, space, asked, asked.pinned) if space is not None else None
        cost = expected(
            service.database,
            settings,
            workload=workload,
            budget=replace(budget, trials=asked.trials or budget.trials),
            device=_fingerprint(service, asked.device),
            space=left,
        )
    except InputError as error:
        return StudyPlan(Described(None), problem=str(error))
    return StudyPlan(described, rows, cost, budget)


def _space(service: Service, space: Space, asked: StudyRequest, pinned: Mapping[str, Any]) -> Space:
    """The space that the study will search, with the memory tiers of the requested device."""
    rules = space_rules(service.settings, asked.workload)
    total = _device(service, asked.device, "total_bytes") or 0
    limit_bytes = asked.memory_budget_bytes or total
    return space_for(space, rules, asked.budget, limit_bytes, pinned)


def _device(service: Service, device: str | None, name: str) -> Any:
    """An attribute of the requested device, or of the best one on this host."""
    found = LiveDevices.of(service).look(service.database)
    if device is not None and is_group(device):
        device = group_of(device).devices[0]
    chosen = next((each for each in found if device in (None, each.device)), None)
    return getattr(chosen, name) if chosen is not None else None


def _fingerprint(service: Service, device: str | None) -> str | None:
    key = _device(service, device, "fingerprint")
    return key or None


def _request(form: Form) -> StudyRequest:
    """The study that the form requests. Raises ``InputError`` that names the field."""
    given: dict[str, Any] = {
        "workload": form["workload"],
        "budget": form["budget"] or "prototyping",
        "device": form["device"] or None,
        "devices": _devices(form["devices"]),
        "pinned": pinned_of(form),
        "memory_budget_bytes": parse_size(form["memory"]) if form["memory"] else None,
        "trials": _whole("Maximum number of configs", form["trials"]),
        "objective": form["objective"] or None,
        "devices_at_once": _at_once(form["devices_at_once"]),
        "fresh": form["fresh"] == "on",
    }
    minutes = form["minutes"]
    if minutes:
        given["timeout_s"] = 60.0 * _number("Time limit", minutes)
    return StudyRequest.checked(given)


def _devices(text: str) -> int | list[str] | None:
    """A number of devices, or their names."""
    if not text:
        return None
    if text.isdigit():
        return _whole("Several devices", text)
    return [name.strip() for name in text.split(",")]


def _at_once(text: str) -> int | str:
    """How many devices share the search."""
    if text.lower() == "all":
        return "all"
    found = _whole("Devices that share the search", text)
    return 1 if found is None else found


def _whole(name: str, text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InputError(f"{name}: {text!r} is not a whole number.")
    return int(text)


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{name}: {text!r} is not a number.") from None
