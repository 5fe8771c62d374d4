"""What an interval says about a claim."""

from __future__ import annotations

import math

import pytest

from optimizer.ablation import ClaimVerdict, Quantity
from optimizer.ablation.judge import Change, change_text, claim_text, judge, reason
from tests.optimizer.ablation.scripted import question

CONFIRMED, REFUTED, UNDECIDED = ClaimVerdict


@pytest.mark.parametrize(
    ("low", "high", "measured", "verdict"),
    [
        (-0.6, -0.5, (-0.58, -0.52), CONFIRMED),
        (-0.6, -0.5, (-0.6, -0.5), CONFIRMED),
        (-0.6, -0.5, (-0.44, -0.38), REFUTED),
        (-0.6, -0.5, (-0.7, -0.61), REFUTED),
        (-0.6, -0.5, (-0.55, -0.45), UNDECIDED),
        (-0.6, -0.5, (-0.8, -0.2), UNDECIDED),
        (None, 0.0, (-0.3, -0.1), CONFIRMED),
        (None, 0.0, (0.1, 0.3), REFUTED),
        (0.0, None, (0.1, math.inf), CONFIRMED),
        (0.0, 1.0, (0.1, math.inf), UNDECIDED),
        (0.0, 0.0, (-0.02, 0.02), CONFIRMED),
        (0.0, 0.0, (-0.04, 0.02), UNDECIDED),
        (0.5, 0.5, (0.48, 0.52), CONFIRMED),
        (0.5, 0.5, (0.4, 0.45), REFUTED),
    ],
)
def test_the_whole_interval_decides(
    low: float | None, high: float | None, measured: tuple[float, float], verdict: ClaimVerdict
) -> None:
    change = Change(measured[0], *measured)

    assert judge(question(low=low, high=high), change) is verdict


@pytest.mark.parametrize(
    ("quantity", "low", "high", "words"),
    [
        (Quantity.ACTIVATION_MEMORY, -0.6, -0.5, "50–60 % less activation memory"),
        (Quantity.STEP_TIME, 0.2, 0.3, "20–30 % more time per step"),
        (Quantity.STEP_TIME, None, 0.05, "at most 5 % more time per step"),
        (Quantity.PEAK_MEMORY, -0.05, None, "at most 5 % less peak memory"),
        (Quantity.THROUGHPUT, 0.22, None, "at least 22 % more throughput"),
        (Quantity.THROUGHPUT, 0.0, None, "no less throughput"),
        (Quantity.LOSS, None, 0.0, "no higher loss"),
        (Quantity.MAX_BATCH, 0.5, None, "at least 50 % larger maximum batch"),
        (Quantity.PEAK_MEMORY, 0.0, 0.0, "the same peak memory"),
        (Quantity.THROUGHPUT, 1.0, 4.0, "2–5 times the throughput"),
        (Quantity.LOSS, -0.01, 0.01, "loss changed by -1 % to +1 %"),
        (Quantity.OUTPUT_ERROR, 0.01, None, "difference of the outputs of at least 0.01"),
    ],
)
def test_a_claim_in_words(
    quantity: Quantity, low: float | None, high: float | None, words: str
) -> None:
    assert claim_text(question(quantity, low, high)) == words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (Change(-0.41, -0.44, -0.38), "41 % (38–44 %) less"),
        (Change(0.27, 0.22, 0.31), "27 % (22–31 %) more"),
        (Change(0.01, -0.01, 0.03), "no clear difference (+1 %; -1 % to +3 %)"),
        (Change(1.5, 1.4, 1.6), "2.5 times as much (2.4 to 2.6)"),
        (Change(0.5, 0.4, math.inf), "+50 % or more (at least +40 %)"),
    ],
)
def test_a_change_in_words(change: Change, words: str) -> None:
    assert change_text(Quantity.PEAK_MEMORY, change) == words


def test_an_undecided_claim_says_at_which_edge() -> None:
    said = reason(question(low=-0.6, high=-0.5), Change(-0.5, -0.55, -0.45), UNDECIDED)

    assert "-50 %" in said
    assert "cannot tell" in said
