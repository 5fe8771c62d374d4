"""``/choose``: which device class to train on; the question, earlier answers, and each answer."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.dashboard.charts.cost_time import cost_time_figure
from app.dashboard.forms import Form, FormDep
from app.dashboard.listing import PER_PAGE, Listing, given
from app.dashboard.page import Filter, page
from app.fleet_answers import repository, words
from app.fleet_answers import service as fleet_answers
from app.fleet_answers.deadline import seconds_until
from app.fleet_answers.exports.formats import FORMATS
from app.fleet_answers.question import FleetQuestion
from app.fleet_answers.routes import FleetAnswerId
from app.http.fields import Id
from app.http.resource import pages
from app.http.runtime import Service, ServiceDep
from optimizer.fleet.choose import Prefer
from probes.errors import InputError
from probes.formatting import duration_text
from probes.space_text import parse_assignments

router = pages()
asking = pages("run")


@router.get("/choose")
def choose_form(
    request: Request,
    service: ServiceDep,
    workload: Filter = "",
    budget: Filter = "",
    before: Annotated[Id | None, Query()] = None,
) -> Response:
    """The form, filled in as other pages link to it, above the answers that were given."""
    form = Form({"workload": workload, "budget": budget})
    return _form(request, service, form, before=before)


@asking.post("/choose")
def ask(request: Request, service: ServiceDep, form: FormDep) -> Response:
    try:
        row = fleet_answers.ask(service.database, service.settings, _question(form))
    except InputError as error:
        return _form(request, service, form, problem=str(error), status=422)
    return RedirectResponse(f"/choose/{row.id}", 303)


@router.get("/choose/{answer_id}")
def answer(request: Request, service: ServiceDep, answer_id: FleetAnswerId) -> Response:
    row = fleet_answers.get(service.database, answer_id)
    context = {
        "row": row,
        "answer": row.document,
        "figure": cost_time_figure(row.document),
        "formats": FORMATS if row.chosen_class is not None else {},
        "words": words,
        "duration": duration_text,
    }
    return page(request, "fleet_answer.html", context)


def _form(
    request: Request,
    service: Service,
    form: Form,
    *,
    before: str | None = None,
    problem: str = "",
    status: int = 200,
) -> Response:
    wanted = given(workload=form["workload"])
    with service.database.read() as session:
        found = repository.page(session, before=before, limit=PER_PAGE + 1, **wanted)
        known = repository.workload_names(session)
    context: dict[str, Any] = {
        "form": form,
        "problem": problem,
        "workloads": known,
        "budgets": list(service.settings.budget_table()),
        "preferences": list(Prefer),
        "currency": service.settings.fleet.currency,
        "listing": Listing.of("/choose", found, wanted, before),
        "words": words,
    }
    return page(request, "choose.html", context, status=status)


def _question(form: Form) -> FleetQuestion:
    """Raises ``InputError``."""
    amount = _number(form, "amount", "How much to train")
    unit = form["unit"] or "epochs"
    if unit not in ("epochs", "samples", "cycles"):
        raise InputError(f"{unit!r} is not a unit of training: epochs, samples or cycles.")
    deadline = form["deadline"]
    now = datetime.now().astimezone()
    return FleetQuestion(
        workload=form["workload"],
        budget=form["budget"] or "prototyping",
        epochs=amount if unit == "epochs" else None,
        samples=round(amount) if unit == "samples" and amount is not None else None,
        cycles=amount if unit == "cycles" else None,
        deadline_s=seconds_until(deadline, now) if deadline else None,
        budget_money=_number(form, "money", "The most it may cost"),
        prefer=_preference(form["prefer"]),
        pinned=parse_assignments(form["pinned"].split(), "Fixed dimensions"),
        with_carbon=bool(form["carbon"]),
    )


def _number(form: Form, field: str, label: str) -> float | None:
    text = form[field]
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 <= value < 1e15:
        raise InputError(f"{label}: {text!r} is not a number that can be used.")
    return value


def _preference(text: str) -> Prefer:
    try:
        return Prefer(text or Prefer.CHEAPEST)
    except ValueError:
        raise InputError(f"{text!r} is not a preference: {', '.join(Prefer)}.") from None
