"""How often something happens, and how often it may happen given what was seen."""

from __future__ import annotations

import math


def upper_bound(events: int, trials: int, confidence: float = 0.95) -> float:
    """One-sided upper bound of a proportion (Clopper and Pearson, Biometrika 26, 1934).

    With no event it is close to ``3 / trials``, the rule of three. 1.0 where nothing was tried.
    """
    if trials == 0 or events >= trials:
        return 1.0
    low, high = events / trials, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if _at_most(events, trials, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def _at_most(events: int, trials: int, probability: float) -> float:
    """The chance of so many events or fewer."""
    if probability <= 0:
        return 1.0
    if probability >= 1:
        return 0.0
    log_p, log_q = math.log(probability), math.log1p(-probability)
    return sum(
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(k + 1)
            - math.lgamma(trials - k + 1)
            + k * log_p
            + (trials - k) * log_q
        )
        for k in range(events + 1)
    )
