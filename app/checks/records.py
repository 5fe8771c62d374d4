"""What a check is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

CheckVerdict = Literal["fits", "does_not_fit", "too_slow", "unknown", "stale"]


@dataclass(frozen=True)
class CheckRecord:
    """A stored check."""

    id: str
    verdict: str
    """One of ``CheckVerdict``."""
    workload: str
    device: str
    fingerprint: str
    recommendation_id: str | None
    """What the plan was compared with; ``None`` when there was nothing."""
    document: dict[str, Any]
    """The whole answer."""
    created_at: datetime
