"""``/workloads``: what can be tuned, its measurements, and how accurate predictions were."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Path, Query
from starlette.requests import Request
from starlette.responses import Response

from app.dashboard.charts.stability import stability_figures
from app.dashboard.listing import Listing
from app.dashboard.page import page
from app.dashboard.views.space import rows_of
from app.database.models.results import WorkloadRow
from app.errors import NotFound
from app.http.fields import LARGEST
from app.http.resource import pages
from app.http.runtime import ServiceDep
from app.measurements import predictions
from app.measurements import repository as measurements
from app.measurements.service import get
from app.recommendations import repository as recommendations
from app.validity.last_seen import validities
from app.workloads import repository as workloads
from app.workloads.registry import registered
from optimizer.formatting import FEWEST_GRADED
from probes.measurement import Measurement
from probes.space import dimension_from_dict

SHOWN = 25

router = pages()


@router.get("/workloads")
def listing(request: Request, service: ServiceDep) -> Response:
    newest: dict[str, WorkloadRow] = {}
    with service.database.read() as session:
        stored = workloads.listing(session)  # last seen first
    for record in stored:
        newest.setdefault(record.reference, record)
    known = registered(service.settings)
    names = sorted({*newest, *known})
    context = {"rows": [(name, known.get(name), newest.get(name)) for name in names]}
    return page(request, "workloads.html", context)


@router.get("/workloads/{name:path}")
def workload(
    request: Request,
    service: ServiceDep,
    name: Annotated[str, Path(max_length=1024)],
    before: Annotated[int | None, Query(ge=1, le=LARGEST)] = None,
) -> Response:
    database = service.database
    with database.read() as session:
        seen = [each for each in workloads.listing(session) if each.reference == name]
    entry = registered(service.settings).get(name)
    if not seen and entry is None:
        raise NotFound(f"No workload {name!r} is registered on this host or has been measured.")
    space = {each: dimension_from_dict(d) for each, d in seen[0].space.items()} if seen else {}
    with database.read() as session:
        found = measurements.page(session, workload=name, before=before, limit=SHOWN + 1)
        answers = recommendations.page(session, workload=name, limit=SHOWN)
    context = {
        "name": name,
        "entry": entry,
        "seen": seen,
        "space": rows_of(space),
        "listing": Listing.of(f"/workloads/{quote(name)}", found, {}, before, SHOWN),
        "errors": predictions.errors(database, workload=name),
        "fewest_graded": FEWEST_GRADED,
        "recommendations": answers,
        "standings": validities(database, answers),
    }
    return page(request, "workload.html", context)


@router.get("/measurements/{measurement_id}")
def measurement(
    request: Request, service: ServiceDep, measurement_id: Annotated[int, Path(ge=1, le=LARGEST)]
) -> Response:
    stored = get(service.database, measurement_id)
    found = Measurement.from_dict(stored.document)
    context = {"stored": stored, "run": found, "figures": stability_figures(found)}
    return page(request, "measurement.html", context)
