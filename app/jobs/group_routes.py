"""``/v1/device-groups``: devices that can train together, as runners offer them."""

from __future__ import annotations

from app.devices.schemas import DeviceGroupOut
from app.http.resource import resource
from app.http.runtime import ServiceDep
from app.http.security import Reader
from app.jobs import runner_repository

router = resource("devices", "/v1/device-groups")


@router.get("", summary="List device groups")
def list_device_groups(service: ServiceDep, caller: Reader) -> list[DeviceGroupOut]:
    """Devices of one class on one host, as runners offer them now. Any number of ranks can share a
    CPU, which is not listed."""
    with service.database.read() as session:
        runners = runner_repository.listing(session)
    return [
        DeviceGroupOut(host=runner.owner.host, **group.to_dict())
        for runner in runners
        for group in runner.offers.groups
    ]
