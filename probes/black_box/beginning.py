"""Lines before the first training step: an agent that still fills its replay buffer prints
``loss nan``, the mean of no losses. Pure."""

from __future__ import annotations

import math

from probes.black_box.steps import Seen

MOST_LINES = 20
LONGEST_S = 10.0
"""A loss that is not finite for so many lines, and for so long, is that of a training."""


class Beginning:
    """Holds steps back whose loss is NaN or infinite, as long as none was finite.

    Where a finite one follows they were no steps: a model whose loss is NaN does not recover.
    """

    def __init__(self) -> None:
        self._held: list[Seen] = []
        self._is_over = False

    def take(self, seen: list[Seen], now_s: float, *, ended: bool) -> list[Seen]:
        """The steps that count now. ``ended``: no more will come."""
        if self._is_over:
            return seen
        for index, step in enumerate(seen):
            if step.loss is None or math.isfinite(step.loss):
                self._is_over = True
                return seen[index:]
            self._held.append(step)
        waited_s = now_s - self._held[0].at_s if self._held else 0.0
        if ended or len(self._held) >= MOST_LINES or waited_s > LONGEST_S:
            self._is_over = bool(self._held)
            return self._held
        return []
