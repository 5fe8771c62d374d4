"""What memory should look like before anything ran: the analytic prior of a config.

Computed in a worker by tracking the tensors of a fake training step (``worker.estimate``). It
knows every activation, gradient and optimizer state; it is blind to workspaces, fragmentation and
whatever libraries take. So it gives the *shape* of memory against the batch, and real probes give
the rest. Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Prior:
    """Predicted peaks of training steps. Empty, with the reason, where it does not work."""

    points: list[tuple[int, int]] = field(default_factory=list)
    """(batch size, peak bytes), ascending and nowhere falling."""
    cap_bytes: int = 0
    """The cap up to which it was computed."""
    reason: str = ""
    """Why there are no points."""
    wall_s: float = 0.0

    def __bool__(self) -> bool:
        return len(self.points) > 1 and self.points[-1][1] > self.points[0][1]

    def at(self, batch_size: float) -> float:
        """Peak in bytes at a batch: between the points, or on the line through the last two."""
        points = self.points
        index = next((i for i, (b, _) in enumerate(points) if b >= batch_size), len(points) - 1)
        (b1, y1), (b2, y2) = points[max(0, index - 1)], points[max(1, index)]
        return y1 + (y2 - y1) * (batch_size - b1) / (b2 - b1)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Prior:
        return cls(**{**data, "points": [(int(b), int(y)) for b, y in data["points"]]})
