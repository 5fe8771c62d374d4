"""``/devices``: every device with stored results, and the devices available now."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.dashboard.page import page
from app.devices import repository
from app.devices import service as devices
from app.devices.routes import KeyInPath
from app.http.resource import pages
from app.http.runtime import ServiceDep
from app.jobs.live_devices import LiveDevices
from app.measurements import repository as measurements
from app.recommendations import repository as recommendations
from app.validity.last_seen import validities

SHOWN = 25

router = pages()


@router.get("/devices")
def listing(request: Request, service: ServiceDep) -> Response:
    with service.database.read() as session:
        seen = repository.listing(session)
    live = LiveDevices.of(service)
    context = {
        "devices": live.look(service.database),
        "groups": live.groups(service.database),
        "seen": seen,
    }
    return page(request, "devices.html", context)


@router.get("/devices/now")
def now(request: Request, service: ServiceDep) -> Response:
    """The part of the page that is refreshed."""
    return page(
        request, "_devices.html", {"devices": LiveDevices.of(service).look(service.database)}
    )


@router.get("/devices/{key}")
def device(request: Request, service: ServiceDep, key: KeyInPath) -> Response:
    found = devices.get(service.database, key)
    with service.database.read() as session:
        answers = recommendations.page(session, fingerprint=key, limit=SHOWN)
        measured = measurements.page(session, fingerprint=key, limit=SHOWN)
    context = {
        "device": found,
        "recommendations": answers,
        "standings": validities(service.database, answers),
        "measurements": measured,
    }
    return page(request, "device.html", context)
