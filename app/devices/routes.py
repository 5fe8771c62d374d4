"""``/v1/devices``."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query

from app.devices import repository
from app.devices import service as devices
from app.devices.schemas import DeviceIn, DeviceOut, DeviceQuery
from app.http import problem_types as types
from app.http.declared import problems
from app.http.paging import Page, listed
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader, Runner

router = resource("devices", "/v1/devices")

KeyInPath = Annotated[
    str,
    Path(
        pattern="^[0-9A-Za-z]{1,64}$",
        description="Key of the device's fingerprint.",
        examples=["577c5139c3e13263"],
    ),
]


@router.get("", summary="List devices")
def list_devices(
    service: ServiceDep, caller: Reader, query: Annotated[DeviceQuery, Query()]
) -> Page[DeviceOut]:
    """Every device that has stored results, newest first."""
    return listed(service.database, repository.page, query, DeviceOut.model_validate)


@router.get("/{key}", summary="Read a device", responses=problems(types.NOT_FOUND))
def read_device(service: ServiceDep, caller: Reader, key: KeyInPath) -> DeviceOut:
    """One device, by the key of its fingerprint."""
    return DeviceOut.model_validate(devices.get(service.database, key))


@router.post("", summary="Register a device", status_code=201)
def add_device(service: ServiceDep, caller: Runner, body: DeviceIn) -> DeviceOut:
    """Register the device of another machine before you send its measurements. Its key is computed
    from its fingerprint, so sending it again updates it."""
    fingerprint = body.fingerprint.fingerprint()
    devices.register(service.database, fingerprint, kind=body.kind, name=body.name)
    return DeviceOut.model_validate(devices.get(service.database, fingerprint.key))
