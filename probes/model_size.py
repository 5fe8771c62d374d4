"""How large a model a config makes, known without training it. Plain data.

Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class ModelSize:
    """Parameters and capacity of one config; ``None`` with a ``reason`` if it cannot be built."""

    parameters: int | None
    capacity: float | None
    """What makes one model better than another, the more the better: parameters, unless the
    workload has ``capacity(config)``."""
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)
