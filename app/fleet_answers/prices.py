"""What a device class costs, from the ``[fleet]`` tables of the configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from app.settings import Settings
from app.settings.fleet import FleetDeviceSettings
from optimizer.fleet.cost import Prices

GROUP_NAME = re.compile(r"^\d+ × ")


@dataclass(frozen=True)
class Named:
    """How the tables may call a device class."""

    class_id: str
    class_key: str
    name: str
    """``NVIDIA H200``, ``4 × NVIDIA H200``."""
    shown: str
    """With its memory, where that is less than the device has."""
    kind: str
    ranks: int = 1

    @property
    def device_name(self) -> str:
        """Of one of its devices."""
        return GROUP_NAME.sub("", self.name)


def of_class(settings: Settings, named: Named) -> tuple[FleetDeviceSettings | None, int]:
    """The first table that names the class, and by how many devices its values are multiplied."""
    whole = [named.class_id, named.class_key, named.shown, named.name]
    for pattern, found in settings.fleet.devices.items():
        if any(_matches(pattern, name) for name in whole if name):
            is_group_of_its_own = GROUP_NAME.match(pattern) is not None
            by_name = pattern in (named.class_id, named.class_key) or is_group_of_its_own
            return found, 1 if by_name else max(1, named.ranks)
        if any(_matches(pattern, name) for name in (named.device_name, named.kind)):
            return found, max(1, named.ranks)
    return None, 1


def prices_of(settings: Settings, named: Named, carbon_g_per_kwh: float | None) -> Prices:
    fleet = settings.fleet
    found, devices = of_class(settings, named)
    own = found or FleetDeviceSettings.model_validate({})
    return Prices(
        per_hour=None if own.price_per_hour is None else own.price_per_hour * devices,
        tariff_per_kwh=fleet.tariff_per_kwh,
        watts=None if own.watts is None else own.watts * devices,
        host_watts=fleet.host_watts,
        overhead=fleet.overhead,
        carbon_g_per_kwh=carbon_g_per_kwh,
        setting=f'fleet.devices."{named.device_name}"',
    )


def _matches(pattern: str, name: str) -> bool:
    return fnmatchcase(name.lower(), pattern.lower())
