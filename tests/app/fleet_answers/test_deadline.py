"""Deadlines as people write them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from app.fleet_answers.deadline import seconds_until
from probes.errors import InputError

NOON = datetime(2026, 3, 4, 12, 0, 0, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6h", 21_600), ("90m", 5400), ("90min", 5400), ("2d", 172_800), ("1d12h", 129_600),
        ("1h 30m", 5400), ("1.5h", 5400), ("45s", 45), ("18:00", 21_600), ("12:01", 60),
        ("2026-03-04T13:00", 3600), ("2026-03-04T12:00:00Z", 3600), ("2026-03-05", 43_200),
    ],
)  # fmt: skip
def test_seconds_from_now(text, seconds):
    assert seconds_until(text, NOON) == seconds


@pytest.mark.parametrize("text", ["11:59", "12:00", "2026-03-04T11:00", "2020-01-01"])
def test_a_time_that_has_passed_is_refused(text):
    with pytest.raises(InputError, match="has passed"):
        seconds_until(text, NOON)


@pytest.mark.parametrize("text", ["", "soon", "6", "h", "25:00", "0h", "-1h", "6h tomorrow"])
def test_other_text_is_refused(text):
    with pytest.raises(InputError, match="deadline"):
        seconds_until(text, NOON)
