"""Which of several recommendations counts, where no id names one: one rule for ``run`` and
``lookup``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optimizer.records import Recommendation

MOST_COMPARED = 50
"""Recommendations that ``run`` chooses from, newest first."""


def preferred(
    found: Sequence[Recommendation], *, most_bytes: int | None = None, time_scale: float = 1.0
) -> Recommendation | None:
    """Of those in ``found``, newest first. Scaled times are for trying out, and what was made for
    more than ``most_bytes`` may not fit: both count only where there is nothing else. The newest of
    the rest says what is trained; of those for the same, the one with the most memory counts, since
    a smaller budget was an emulation."""
    fitting = [each for each in found if most_bytes is None or each.limit_bytes <= most_bytes]
    fitting = fitting or list(found)
    rest = [each for each in fitting if each.study.get("time_scale", 1.0) == time_scale] or fitting
    if not rest:
        return None
    alike = [each for each in rest if _question(each) == _question(rest[0])]
    return max(alike, key=lambda each: each.limit_bytes)


def _question(each: Recommendation) -> tuple[str, str, object]:
    return each.workload, each.budget, each.valid.get("workload_hash")
