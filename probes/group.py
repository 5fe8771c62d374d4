"""Which devices train together, and how they are named. Pure; standard library only."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probes.errors import InputError
from probes.formatting import plural

MOST_RANKS = 64
"""More ranks than this on one machine are a typing mistake."""
MOST_HOSTS = 256
"""More hosts than this in one group are one too."""

LIBRARIES = {"cuda": "nccl", "xpu": "xccl", "cpu": "gloo", "mps": "gloo"}
"""What the ranks of a kind of device talk through (torch's backend names)."""


@dataclass(frozen=True)
class Group:
    """Devices that train as one, in the order of their ranks."""

    devices: tuple[str, ...]
    """As torch names them; the CPU's ranks are all ``cpu``."""
    batch_sizes: tuple[int, ...] | None = None
    """Samples per micro-batch of each rank, where they differ."""
    limits: tuple[int | None, ...] | None = None
    """Memory budget of each rank in bytes, where they differ; ``None`` for a device's own size."""
    threads: int | None = None
    """Threads of each rank on the CPU; ``None`` for an equal share of the cores."""
    nodes: tuple[str, ...] = ()
    """The hosts, by name, over which the ranks are spread evenly and in order. Empty: this host."""

    def __post_init__(self) -> None:
        for values in (self.batch_sizes, self.limits):
            if values is not None and len(values) != self.size:
                raise InputError(f"{len(values)} values for {self.size} ranks: give one for each.")
        if self.size % self.hosts:
            raise InputError(f"{self.size} ranks cannot be spread evenly over {self.hosts} nodes.")

    @property
    def size(self) -> int:
        """Number of ranks."""
        return len(self.devices)

    @property
    def hosts(self) -> int:
        """Number of hosts."""
        return max(1, len(self.nodes))

    @property
    def per_host(self) -> int:
        """Number of ranks on each host."""
        return self.size // self.hosts

    def node_of(self, rank: int) -> str:
        """The name of the host of a rank; empty for this host."""
        return self.nodes[rank // self.per_host] if self.nodes else ""

    @property
    def kind(self) -> str:
        """``cpu``, ``cuda``, ``mps`` or ``xpu``, as torch names it."""
        return self.devices[0].partition(":")[0]

    @property
    def library(self) -> str:
        return LIBRARIES[self.kind]

    @property
    def label(self) -> str:
        """What results are kept under: ``cuda:0-3``, ``cuda:0,2``, ``cpu:0-1``; ``cuda:0-3@2`` for
        these devices of each of two hosts."""
        count, spread = self.per_host, f"@{self.hosts}" if self.hosts > 1 else ""
        numbers = [_number(device) for device in self.devices[:count]]
        if self.kind == "cpu":
            numbers = list(range(count))
        if count > 1 and numbers == list(range(numbers[0], numbers[0] + count)):
            return f"{self.kind}:{numbers[0]}-{numbers[-1]}{spread}"
        return f"{self.kind}:{','.join(map(str, numbers))}{spread}"

    def data_parallel(self, config: Mapping[str, Any]) -> int:
        """Number of ranks, or of teams of ranks that share layers, that draw different batches."""
        return self.size // int(config.get("tensor_parallel", 1))

    def to_dict(self) -> dict[str, Any]:
        return {
            "devices": list(self.devices),
            "batch_sizes": list(self.batch_sizes) if self.batch_sizes else None,
            "limits": list(self.limits) if self.limits else None,
            "threads": self.threads,
            "nodes": list(self.nodes),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Group:
        def known(name: str) -> tuple[Any, ...] | None:
            values = data.get(name)
            return None if values is None else tuple(values)

        return cls(
            tuple(data["devices"]),
            known("batch_sizes"),
            known("limits"),
            data.get("threads"),
            tuple(data.get("nodes", ())),
        )


def is_group(device: str) -> bool:
    """Whether a device's name is a label of several: ``cuda:0-1``, ``cuda:0,2``, ``cuda:0@2``."""
    pattern = r"[a-z]+:\d+((-\d+|(,\d+)+)(@\d+)?|@\d+)"
    return bool(re.fullmatch(pattern, device.strip().lower()))


def group_of(label: str) -> Group:
    """The group that a label names, with the devices in the order of their ranks. The name of a
    single device is a group of one. A label carries neither batch sizes nor memory budgets, and of
    several hosts it says only how many they are: they are numbered.

    Raises ``InputError`` for text that names no device.
    """
    name, _, spread = label.strip().lower().partition("@")
    kind = name.partition(":")[0]
    hosts = int(spread) if spread.isdigit() and len(spread) < 5 else 1
    known = kind in LIBRARIES and re.fullmatch(r"[a-z]+(:\d+(-\d+|(,\d+)*))?", name)
    if not known or (spread and not 1 < hosts <= MOST_HOSTS):
        raise InputError(f"{label!r} names no device and no group, such as cuda:0 or cuda:0-3.")
    nodes = tuple(map(str, range(hosts))) if hosts > 1 else ()
    return Group(tuple(_named(name)) * hosts, nodes=nodes)


def parse_group(text: str, offered: Sequence[str], device: str | None = None) -> Group:
    """The group that ``--devices`` names: a number, ``all``, devices separated by commas
    (``cuda:0,cuda:1``) or a label (``cuda:0-3``).

    ``offered`` are the devices of this machine, best first; ``device`` narrows a number or ``all``
    to its kind. The CPU counts as several devices, as its ranks share it. Raises ``InputError``.
    """
    asked = text.strip().lower()
    if "@" in asked:
        raise InputError(
            f"{text} names devices of several hosts: measure on them with --devices NUMBER --nodes "
            f"{asked.partition('@')[2]}."
        )
    if asked.isdigit() or asked == "all":
        kind = (device or offered[0]).partition(":")[0].strip().lower()
        here = [name for name in offered if name.partition(":")[0] == kind]
        if kind == "cpu":
            if asked == "all":
                raise InputError("--devices all: say how many ranks share the CPU, such as 2.")
            here = ["cpu"] * min(int(asked), MOST_RANKS)
        if asked == "all":
            return Group(tuple(here))
        return Group(tuple(_first(here, int(asked), kind)))
    names = _named(asked)
    kinds = {name.partition(":")[0] for name in names}
    if len(kinds) > 1:
        raise InputError(
            f"--devices {text}: devices of different kinds ({', '.join(sorted(kinds))}) cannot "
            "train together; name devices of one kind."
        )
    if unknown := [name for name in names if name not in offered]:
        raise InputError(
            f"--devices {text}: there is no {unknown[0]} here; available: {', '.join(offered)}."
        )
    if names[0] != "cpu" and len(set(names)) < len(names):
        raise InputError(f"--devices {text}: a device is named twice; every rank needs its own.")
    return Group(tuple(names))


def group_as_written(text: str, device: str | None = None) -> Group:
    """The group that ``--devices`` names, whether or not its devices are here. Raises
    ``InputError`` for ``all``, as nobody is asked how many these are."""
    asked = text.strip().lower()
    if asked == "all":
        raise InputError("--devices all: give a number here, such as 2, as no device is looked at.")
    if not asked.isdigit():
        names = _named(asked)
        if unknown := {name.partition(":")[0] for name in names} - set(LIBRARIES):
            raise InputError(
                f"--devices {text}: {unknown.pop()} is not a kind of device; known are "
                f"{', '.join(LIBRARIES)}."
            )
        return Group(tuple(names))
    kind = (device or "cpu").partition(":")[0].strip().lower()
    alone = kind in ("cpu", "mps")
    here = [kind if alone else f"{kind}:{number}" for number in range(MOST_RANKS)]
    return Group(tuple(_first(here, int(asked), kind)))


def _first(here: Sequence[str], wanted: int, kind: str) -> Sequence[str]:
    if 1 <= wanted <= len(here):
        return here[:wanted]
    if kind == "cpu":
        raise InputError(f"--devices {wanted}: use 1 to {MOST_RANKS} ranks on the CPU.")
    if not 1 <= wanted <= MOST_RANKS:
        raise InputError(f"--devices {wanted}: use 1 to {MOST_RANKS} devices.")
    raise InputError(
        f"--devices {wanted}: this machine has only {plural(len(here), f'{kind} device')}. Add "
        "--device cpu to let ranks share the CPU."
    )


def _named(text: str) -> list[str]:
    """Device names from ``cuda:0,cuda:1``, ``cuda:0-1``, ``cuda:0,1`` or ``cpu,cpu``."""
    names: list[str] = []
    kind = ""
    for part in (part.strip() for part in text.split(",")):
        match = re.fullmatch(r"(?:([a-z]+)(?::|$))?(?:(\d+)(?:-(\d+))?)?", part)
        if match is None or not part or not (match[1] or kind):
            raise InputError(
                f"--devices {text}: give a number of devices, all, or names such as cuda:0,cuda:1."
            )
        kind = match[1] or kind
        low, high = int(match[2] or 0), int(match[3] or match[2] or 0)
        if not low <= high < low + MOST_RANKS:
            raise InputError(
                f"--devices {text}: {part} is not a range of up to {MOST_RANKS} devices."
            )
        alone = kind in ("cpu", "mps")
        names += [kind if alone else f"{kind}:{number}" for number in range(low, high + 1)]
    return names


def _number(device: str) -> int:
    return int(device.partition(":")[2] or 0)
