"""Which devices of a host can train together: those of one class, with the links between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from probes.devices.base import DeviceFacts
from probes.devices.links import SLOWEST_LAST, link_between, link_words
from probes.devices.nvml import NVLINK
from probes.group import Group


class Linked(Protocol):
    """What is known of a device of the host."""

    @property
    def device(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def class_key(self) -> str: ...

    @property
    def total_bytes(self) -> int: ...

    @property
    def links(self) -> Mapping[str, str]:
        """The kind of link to each other device, by its name, as far as it is known."""


@dataclass(frozen=True)
class DeviceHere:
    """A device of this machine; see ``Linked``."""

    device: str
    kind: str
    name: str
    class_key: str
    total_bytes: int
    links: Mapping[str, str]

    @classmethod
    def of(cls, facts: DeviceFacts, class_key: str, links: Mapping[str, str]) -> DeviceHere:
        return cls(facts.device, facts.kind, facts.name, class_key, facts.total_bytes, links)


@dataclass(frozen=True)
class DeviceGroup:
    """Devices that can train together."""

    devices: tuple[str, ...]
    name: str
    """Like ``4 × NVIDIA H100``."""
    link: str | None
    """The slowest between two of them (see ``probes.devices.links``); ``None`` if not known."""
    total_bytes: int
    """Memory of each."""

    @property
    def label(self) -> str:
        return Group(self.devices).label

    @property
    def link_words(self) -> str:
        return "links unknown" if self.link is None else link_words(self.link)

    def to_dict(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "devices": list(self.devices),
            "name": self.name,
            "link": self.link,
            "total_bytes": self.total_bytes,
        }


def groups_of(devices: Sequence[Linked]) -> list[DeviceGroup]:
    """Devices of one class, all of them first; then those that NVLink joins, where the others are
    further away. The CPU is one device: any number of ranks can share it."""
    by_class: dict[tuple[str, str], list[Linked]] = {}
    for each in devices:
        if each.kind not in ("cpu", "mps") and each.class_key:
            by_class.setdefault((each.kind, each.class_key), []).append(each)
    found = []
    for alike in by_class.values():
        if len(alike) < 2:
            continue
        whole = _group(alike)
        islands = [_group(island) for island in _islands(alike)]
        found += [whole, *(island for island in islands if island.devices != whole.devices)]
    return found


def links_of(members: Sequence[DeviceFacts], nvml: Any = None) -> dict[str, dict[str, str]]:
    """The links between each two devices, by their names, as far as the driver tells."""
    found: dict[str, dict[str, str]] = {each.device: {} for each in members}
    for number, one in enumerate(members):
        for other in members[number + 1 :]:
            link = link_between([one, other], nvml) if one.kind == other.kind else None
            if isinstance(link, str) and one.kind != "cpu":
                found[one.device][other.device] = found[other.device][one.device] = link
    return found


def _group(members: Sequence[Linked]) -> DeviceGroup:
    first = members[0]
    links = [
        _link(each, other) for number, each in enumerate(members) for other in members[number + 1 :]
    ]
    known = [link for link in links if link in SLOWEST_LAST]
    return DeviceGroup(
        tuple(each.device for each in members),
        f"{len(members)} × {first.name}",
        max(known, key=SLOWEST_LAST.index) if len(known) == len(links) else None,
        min(each.total_bytes for each in members),
    )


def _link(one: Linked, other: Linked) -> str | None:
    return one.links.get(other.device) or other.links.get(one.device)


def _islands(members: Sequence[Linked]) -> list[list[Linked]]:
    """The devices that NVLink joins, two or more at a time."""
    left, found = list(members), []
    while left:
        island = [left.pop(0)]
        for each in list(left):
            if all(_link(other, each) == NVLINK for other in island):
                island.append(each)
                left.remove(each)
        if len(island) > 1:
            found.append(island)
    return found
