"""The devices that the start forms offer."""

from __future__ import annotations

from app.http.runtime import Service
from app.jobs.live_devices import LiveDevices
from probes.formatting import size_text


def device_choices(service: Service) -> dict[str, str]:
    """By the name of each device, what the list shows: ``cuda:0: NVIDIA L4, 22.0 GiB``."""
    found = LiveDevices.of(service).look(service.database)
    return {
        each.device: f"{each.device}: {each.name}, {size_text(each.total_bytes or 0)}"
        for each in reversed(found)
    }
