"""What must be equal for one measurement to stand for another. Quick to import."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any


def short_hash(data: Any) -> str:
    """Sixteen hex digits that identify JSON-ready ``data``; equal data, equal hash."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Scope:
    """Everything that must be equal for one measurement to stand for another, except the config."""

    workload: str
    """As the user named it."""
    workload_hash: str
    """Hash of the workload's source and options."""
    fingerprint: str
    """Key of the device's identity (device, driver, torch)."""
    device: str
    limit_bytes: int | None
    headroom: float
    effective_batch_size: int | None = None
    """Target samples per optimizer step, if given (see ``ProbeJob``)."""
    environment: dict[str, str] = field(default_factory=dict)
    """Allocator settings and threads of the worker."""

    @property
    def key(self) -> str:
        return short_hash(asdict(self))
