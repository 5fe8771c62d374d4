"""How many samples an epoch has, told from the steps of an epoch at batches of two sizes. Pure.

``12/500`` with batches of 8 and ``3/56`` with batches of 72 say that there are 3,993 to 4,007
samples. So do counters without a total that start again with each epoch. A larger batch would be
the whole data set every time, or none where the rest is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from probes.black_box.discovery.counter import EpochSteps

FAR_APART = 2
"""Two counters must differ by this factor at the least, or their agreement means nothing."""
LEAST_STEPS = 4
"""Steps of an epoch from which a counter says how large it is."""


@dataclass(frozen=True)
class EpochSize:
    """Samples per epoch, bounds included. A batch of ``low`` is a whole step in any case."""

    low: int
    high: int


def epoch_size(epochs: Mapping[int, EpochSteps]) -> EpochSize | None:
    """From batch size to the steps of an epoch; ``None`` where these do not fit together, as they
    do not where the counter counts up to a stated number of steps.

    An epoch of ``t`` steps has ``(t - 1) * b + 1`` to ``t * b`` samples where the last batch is
    smaller, and ``t * b`` to ``(t + 1) * b - 1`` where it is dropped.
    """
    if not epochs:
        return None
    small, large = epochs[min(epochs)], epochs[max(epochs)]
    if small.least < max(LEAST_STEPS, FAR_APART * large.most):
        return None
    low = max((t.least - 1) * b + 1 for b, t in epochs.items())
    high = min((t.most + 1) * b - 1 for b, t in epochs.items())
    return EpochSize(low, high) if low <= high else None
