"""Numbers as people read them."""

from __future__ import annotations

import pytest

from optimizer.formatting import error_text


@pytest.mark.parametrize("graded", [1, 2, 4])
def test_an_error_of_few_predictions_says_how_few_and_no_median(graded: int) -> None:
    text = error_text(graded, 0.293)
    assert str(graded) in text and "%" not in text


def test_an_error_says_on_how_many_measurements_it_rests() -> None:
    text = error_text(5, 0.293)
    assert "29.3%" in text and "5 measurements" in text
