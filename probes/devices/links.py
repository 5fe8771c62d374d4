"""How the devices of a group reach each other, as far as the driver tells. In the parent."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from probes.devices.base import DeviceFacts
from probes.devices.nvml import NO_UUID, NVLINK, PCIE, SYSTEM, NvmlDevice
from probes.devices.reading import Maybe, Missing

HOST_MEMORY = "host_memory"
"""The ranks of a CPU."""
NETWORK = "network"
"""Ranks on several hosts."""
NOT_TOLD = Missing("nothing reports how devices of this kind are linked")

SLOWEST_LAST = (NVLINK, PCIE, SYSTEM)

WORDS = {
    NVLINK: "NVLink",
    PCIE: "PCIe",
    SYSTEM: "PCIe across CPU sockets",
    HOST_MEMORY: "the host's memory",
    NETWORK: "the network",
}
"""A kind of link as people read it."""


def link_between(members: Sequence[DeviceFacts], nvml: Any = None) -> Maybe[str]:
    """The kind of link that is the slowest between any two of the devices: ``nvlink``, ``pcie``,
    ``system`` (PCIe, and from one CPU socket to another) or ``host_memory``."""
    if members[0].kind == "cpu":
        return HOST_MEMORY
    if members[0].kind != "cuda":
        return NOT_TOLD
    found: dict[str, Maybe[NvmlDevice]] = {}
    for facts in members:
        uuid = facts.identity.get("uuid")
        if not isinstance(uuid, str):
            return NO_UUID
        found[facts.device] = NvmlDevice.find(uuid, nvml)
    links = []
    for one, other in itertools.combinations(found.values(), 2):
        if isinstance(one, Missing):
            return one
        link = other if isinstance(other, Missing) else one.link_to(other)
        if isinstance(link, Missing):
            return link
        links.append(link)
    return max(links, key=SLOWEST_LAST.index, default=NOT_TOLD)


def link_words(link: Any) -> str:
    """A kind of link in words; a ``Missing``, or its JSON, is an unknown link."""
    return WORDS.get(link, "unknown") if isinstance(link, str) else "unknown"
