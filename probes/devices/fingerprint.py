"""Which results are comparable: a device's identity, its class, and what surrounds it.

- *identity*: this device with this software. Results are reused when it is the same.
- *device class*: a device like this one. Predictions carry over, results do not.
- *environment*: the machine around it, for explaining differences.
- *state*: how it was doing at the time. Never part of a key.

Runs in the parent, which merges what torch told (in the worker) with what NVML tells.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from probes.devices.base import DeviceFacts, missing
from probes.devices.reading import plain
from probes.formatting import size_text

if TYPE_CHECKING:
    from probes.devices.telemetry import Telemetry

KEY_DIGITS = 16


@dataclass(frozen=True)
class Fingerprint:
    """A device as its results know it. All values are JSON-ready."""

    identity: dict[str, Any]
    device_class: dict[str, Any]
    environment: dict[str, Any] = field(default_factory=dict)
    state: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """16 hex digits of the identity: the same device, driver, runtime and torch."""
        return _digest(self.identity)

    @property
    def class_key(self) -> str:
        """16 hex digits of the class: any device of this make, size and power limit."""
        return _digest(self.device_class)

    def differences(self, other: Fingerprint) -> list[str]:
        """What ``other`` has otherwise: ``driver 550.54 -> 560.28``. State is left out."""
        found: list[str] = []
        for ours, theirs in (
            (self.identity, other.identity),
            (self.device_class, other.device_class),
            (self.environment, other.environment),
        ):
            for name in sorted({*ours, *theirs}):
                before, after = _words(name, ours.get(name)), _words(name, theirs.get(name))
                text = f"{name.removesuffix('_bytes').replace('_', ' ')} {before} -> {after}"
                if before != after and text not in found:
                    found.append(text)
        return found

    def to_dict(self) -> dict[str, Any]:
        return {"key": self.key, "class_key": self.class_key, **asdict(self)}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Fingerprint:
        """Rebuild a fingerprint; the keys are computed again."""
        return cls(
            identity=data["identity"],
            device_class=data["device_class"],
            environment=data.get("environment", {}),
            state=data.get("state", {}),
        )


def build_fingerprint(facts: DeviceFacts, telemetry: Telemetry | None = None) -> Fingerprint:
    """Merge what torch knows of a device with what NVML and the host add to it.

    A value that either side knows wins over one that is missing.
    """
    added = telemetry.device_facts() if telemetry is not None else {}
    reading = telemetry.read().to_dict() if telemetry is not None else {}
    return Fingerprint(
        identity=_merged(facts.identity, added.get("identity", {})),
        device_class=_merged(facts.device_class, added.get("device_class", {})),
        environment=dict(facts.environment),
        state={
            "free_bytes": facts.free_bytes,
            **reading,
            **plain(added.get("state", {})),
            "notes": list(facts.notes),
        },
    )


def group_fingerprint(
    members: Sequence[Fingerprint],
    *,
    total_bytes: int,
    library: str,
    link: Any,
    hosts: int = 1,
) -> Fingerprint:
    """Of devices that train as one, in the order of their ranks.

    What the members have in common is kept as it is; where they differ there is a list, one value
    for each rank. ``total_bytes`` is the memory of the smallest member, ``library`` what the ranks
    talk through, ``link`` the slowest way between two of them, ``hosts`` the number of machines
    that they are on.
    """
    spread = {"hosts": hosts} if hosts > 1 else {}
    identity = _in_common([each.identity for each in members])
    environment = _in_common([each.environment for each in members])
    version = environment.get(library, missing(f"torch does not report the version of {library}"))
    if library == "gloo":  # a part of torch, without a version of its own
        version = identity.get("torch")
    return Fingerprint(
        identity={
            **identity,
            "ranks": len(members),
            "link": plain(link),
            "library": library,
            "library_version": version,
            **spread,
        },
        device_class={
            **_in_common([each.device_class for each in members]),
            "total_bytes": total_bytes,
            "ranks": len(members),
            "link": plain(link),
            **spread,
        },
        environment=environment,
        state=_in_common([each.state for each in members]),
    )


def _in_common(members: Sequence[dict[str, Any]]) -> dict[str, Any]:
    names = dict.fromkeys(name for each in members for name in each)
    found: dict[str, Any] = {}
    for name in names:
        values = [each.get(name) for each in members]
        found[name] = values[0] if all(value == values[0] for value in values) else values
    return found


def _merged(torch_side: dict[str, Any], parent_side: dict[str, Any]) -> dict[str, Any]:
    merged = dict(torch_side)
    for name, value in plain(parent_side).items():
        if not _is_missing(value) or name not in merged:
            merged[name] = value
    return merged


def _digest(values: dict[str, Any]) -> str:
    # Why a value is missing may be worded otherwise tomorrow: only that it is missing counts.
    stable = {name: "missing" if _is_missing(value) else value for name, value in values.items()}
    text = json.dumps(stable, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def _is_missing(value: Any) -> bool:
    return isinstance(value, dict) and set(value) == {"missing"}


def _words(name: str, value: Any) -> str:
    if value is None or _is_missing(value):
        return "unknown"
    if name.endswith("_bytes") and isinstance(value, (int, float)):
        return size_text(value)
    return str(value)
