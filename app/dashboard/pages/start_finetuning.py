"""``/finetunings/start``: request a fine-tuning of what is registered."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from app.dashboard.device_choices import device_choices
from app.dashboard.forms import Form, FormDep, chosen
from app.dashboard.page import page
from app.errors import NotAllowed
from app.finetuning_jobs import service as jobs
from app.finetuning_jobs.names import names_of
from app.finetunings.registered import WrongSettings
from app.finetunings.request import FineTuningPost
from app.http.resource import pages
from app.http.runtime import Service, ServiceDep
from finetuning.settings.assignments import parse_changes
from finetuning.settings.presets import DEFAULT_PRESET, PRESETS
from probes.errors import InputError
from probes.formatting import parse_size

router = pages("run")


@router.get("/finetunings/start")
def start_form(request: Request, service: ServiceDep) -> Response:
    """The form, filled in with the values in the address."""
    return _form(request, service, Form(request.query_params))


@router.post("/finetunings/start")
def start(request: Request, service: ServiceDep, form: FormDep) -> Response:
    try:
        job = jobs.submit(service.database, service.settings, _request(form))
    except (WrongSettings, NotAllowed) as error:
        return _form(request, service, form, wrong_settings=str(error), status=422)
    except InputError as error:
        return _form(request, service, form, problem=str(error), status=422)
    service.work_arrived()
    return RedirectResponse(f"/finetunings/{job.id}", 303)


def _form(
    request: Request,
    service: Service,
    form: Form,
    *,
    problem: str = "",
    wrong_settings: str = "",
    status: int = 200,
) -> Response:
    """``problem`` is shown above the form, ``wrong_settings`` beside the field of the settings."""
    names = names_of(service.database, service.settings)
    context: dict[str, Any] = {
        "form": form,
        "problem": problem,
        "wrong_settings": wrong_settings,
        "models": names.models,
        "data": names.data,
        "chosen_data": chosen(form, "data"),
        "presets": PRESETS.values(),
        "preset": form["preset"] or DEFAULT_PRESET,
        "devices": device_choices(service),
    }
    return page(request, "start_finetuning.html", context, status=status)


def _request(form: Form) -> FineTuningPost:
    """The fine-tuning that the form requests. Raises ``InputError`` that names the field."""
    data = chosen(form, "data")
    if not form["model"] or not data:
        raise InputError("Choose a model and at least one source of rows.")
    try:
        changes = parse_changes(form["settings"].split(), "Changed settings")
    except InputError as error:
        raise WrongSettings(str(error)) from None
    return FineTuningPost.checked(
        {
            "model": form["model"],
            "data": data,
            "preset": form["preset"] or DEFAULT_PRESET,
            "settings": changes,
            "keep_settings": form["keep"] == "on",
            "name": form["name"] or None,
            "device": form["device"] or None,
            "memory_budget_bytes": parse_size(form["memory"]) if form["memory"] else None,
        }
    )
