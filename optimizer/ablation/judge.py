"""What an interval says about a claim, and that in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

from optimizer.ablation.evidence import ClaimVerdict
from optimizer.ablation.question import Quantity, Question

TOLERANCE = 0.03
"""A claim that names a single figure, zero included, holds for what is this near to it."""

NAMES = {
    Quantity.PEAK_MEMORY: "peak memory",
    Quantity.ACTIVATION_MEMORY: "activation memory",
    Quantity.HELD_MEMORY: "memory held between steps",
    Quantity.STEP_TIME: "time per step",
    Quantity.THROUGHPUT: "throughput",
    Quantity.MAX_BATCH: "maximum batch",
    Quantity.LOSS: "loss",
    Quantity.OUTPUT_ERROR: "difference of the outputs",
}
LESS_AND_MORE = {
    Quantity.LOSS: ("lower", "higher"),
    Quantity.MAX_BATCH: ("smaller", "larger"),
}
"""Words for a change of a quantity, where they are others than less and more."""
FACTOR = 1.0
"""From this increase on, a change is said as a factor."""


VAGUE = 4.0
"""An interval whose ends differ by more than this factor says nothing."""


@dataclass(frozen=True)
class Change:
    """A relative change with its interval; ``high`` is infinite where there is no upper bound."""

    value: float
    low: float
    high: float


def judge(question: Question, change: Change) -> ClaimVerdict:
    """*Confirmed* where the whole interval lies within the claim, *refuted* where it lies wholly
    outside, *undecided* else."""
    low, high = claimed(question)
    if low <= change.low and change.high <= high:
        return ClaimVerdict.CONFIRMED
    if change.high < low or change.low > high:
        return ClaimVerdict.REFUTED
    return ClaimVerdict.UNDECIDED


def claimed(question: Question) -> tuple[float, float]:
    """The bounds that the measurement is held against, the tolerance included."""
    low = -math.inf if question.low is None else question.low
    high = math.inf if question.high is None else question.high
    if low == high:
        return low - TOLERANCE, high + TOLERANCE
    return low, high


def reason(question: Question, change: Change, verdict: ClaimVerdict) -> str:
    """Like "Claimed: 50–60 % less activation memory. Here: 41 % (38–44 %) less." """
    said = f"Claimed: {claim_text(question)}. Here: {change_text(question.quantity, change)}."
    if verdict is not ClaimVerdict.UNDECIDED:
        return said
    low, high = claimed(question)
    edges = [edge for edge in (low, high) if change.low <= edge <= change.high]
    is_error = question.quantity is Quantity.OUTPUT_ERROR
    at = " and ".join(f"{edge:.3g}" if is_error else _signed(edge) for edge in edges)
    return f"{said} The interval reaches across the edge of the claim at {at}, so it cannot tell."


def claim_text(question: Question) -> str:
    """The bounds of a claim in words: ``50–60 % less activation memory``."""
    low, high, quantity = question.low, question.high, question.quantity
    name = NAMES[quantity]
    if quantity is Quantity.OUTPUT_ERROR:
        return f"{name} of {_bounds_text(low, high)}"
    if low is None or high is None:
        return f"{_one_sided(low, high, quantity)} {name}"
    if low == high == 0:
        return f"the same {name}"
    if low < 0 < high:
        return f"{name} changed by {_signed(low)} to {_signed(high)}"
    if low >= FACTOR:
        return f"{1 + low:.3g}–{1 + high:.3g} times the {name}"
    nearer, farther = sorted((abs(low), abs(high)))
    span = _percent(nearer) if nearer == farther else f"{100 * nearer:.3g}–{_percent(farther)}"
    return f"{span} {_word(quantity, low + high)} {name}"


def change_text(quantity: Quantity, change: Change) -> str:
    """A measured change in words: ``41 % (38–44 %) less``."""
    value, low, high = change.value, change.low, change.high
    if quantity is Quantity.OUTPUT_ERROR:
        return f"{value:.3g} ({low:.3g} to {high:.3g})"
    if math.isinf(high):
        return f"{_signed(value)} or more (at least {_signed(low)})"
    if low <= 0 <= high and 1 + high > VAGUE * (1 + low):
        return f"{_signed(value)}, and the pairs vary too much to tell more"
    if low <= 0 <= high:
        return f"no clear difference ({_signed(value)}; {_signed(low)} to {_signed(high)})"
    if value >= FACTOR:
        return f"{1 + value:.3g} times as much ({1 + low:.3g} to {1 + high:.3g})"
    nearer, farther = sorted((abs(low), abs(high)))
    span = f"{100 * nearer:.3g}–{_percent(farther)}"
    return f"{_percent(abs(value))} ({span}) {_word(quantity, value)}"


def _one_sided(low: float | None, high: float | None, quantity: Quantity) -> str:
    """``at least 20 % more``, ``no less``."""
    if low is None and high is None:
        return "any"
    bound = low if low is not None else high
    assert bound is not None
    word, other = _word(quantity, bound), _word(quantity, -1.0 if low is not None else 1.0)
    if bound == 0:
        return f"no {other}"
    outwards = (bound > 0) == (low is not None)
    return f"{'at least' if outwards else 'at most'} {_percent(abs(bound))} {word}"


def _word(quantity: Quantity, sign: float) -> str:
    less, more = LESS_AND_MORE.get(quantity, ("less", "more"))
    return less if sign < 0 else more


def _bounds_text(low: float | None, high: float | None) -> str:
    if low is None:
        return "any size" if high is None else f"at most {high:.3g}"
    return f"at least {low:.3g}" if high is None else f"{low:.3g} to {high:.3g}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _signed(share: float) -> str:
    return f"{100 * share:+.3g} %"
