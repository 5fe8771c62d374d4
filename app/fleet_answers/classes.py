"""Device classes of the store: which measurements belong to one, and what it is called.

A memory budget emulates a smaller device, and on the CPU it is the device. So a class is a class
key together with the memory that was allowed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.database.models.results import DeviceRow
from app.fleet_answers.prices import Named
from optimizer.fleet.candidate import FleetClass
from probes.formatting import size_text

SAME_MEMORY = 0.01
"""Limits that differ by less than this fraction are one."""


@dataclass
class Place:
    """One device class, and the devices of it."""

    named: Named
    limit_bytes: int
    is_whole: bool
    """Whether all the memory of its devices is used."""
    devices: list[DeviceRow] = field(default_factory=list)
    """Last seen first."""
    label: str = ""
    """As the newest measurement's command named the device: ``cuda:0``."""

    def fleet_class(self, headroom: float) -> FleetClass:
        named = self.named
        cap = math.floor(self.limit_bytes * (1 - headroom))
        return FleetClass(named.class_id, named.shown, cap, named.ranks)


class Places:
    """The classes by id, in the order in which they are met."""

    def __init__(self, devices: Iterable[DeviceRow]) -> None:
        """``devices``: all stored ones, last seen first."""
        self._by_key = {row.key: row for row in devices}
        self.found: dict[str, Place] = {}

    def device(self, fingerprint: str) -> DeviceRow | None:
        return self._by_key.get(fingerprint)

    def of(self, fingerprint: str, limit_bytes: int | None, label: str = "") -> Place | None:
        """The class of a measurement; ``None`` where its device or its memory is not known."""
        row = self._by_key.get(fingerprint)
        total = row.total_bytes if row is not None else None
        limit = limit_bytes or total
        if row is None or limit is None:
            return None
        is_whole = total is None or abs(limit / total - 1) < SAME_MEMORY
        key = row.class_key or row.key
        class_id = key if is_whole else f"{key}@{limit}"
        if class_id not in self.found:
            named = Named(
                class_id, key, row.name, _shown(row, limit, total, is_whole), row.kind, _ranks(row)
            )
            self.found[class_id] = Place(named, limit, is_whole)
        place = self.found[class_id]
        if row not in place.devices:
            place.devices.append(row)
        place.label = place.label or label
        return place

    def add_unmeasured(self) -> None:
        """The classes of devices that are known, but of which nothing was measured."""
        have = {place.named.class_key for place in self.found.values()}
        for row in list(self._by_key.values()):
            if row.class_key and row.class_key not in have and row.total_bytes:
                self.of(row.key, row.total_bytes)

    @property
    def names(self) -> Mapping[str, str]:
        return {class_id: place.named.shown for class_id, place in self.found.items()}


def _shown(row: DeviceRow, limit: int, total: int | None, is_whole: bool) -> str:
    if is_whole or total is None:
        return row.name
    if row.kind == "cpu":
        return f"{row.name}, {size_text(limit)}"
    return f"{row.name}, {size_text(limit)} of {size_text(total)}"


def _ranks(row: DeviceRow) -> int:
    told = row.groups.identity.get("ranks") if row.groups else None
    return told if isinstance(told, int) and told > 0 else 1
