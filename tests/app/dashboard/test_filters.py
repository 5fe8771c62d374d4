"""Numbers as pages show them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.clock import utc_now
from app.dashboard import filters


def test_numbers():
    assert filters.number(1234.5) == "1,234"
    assert filters.number(0.01234) == "0.0123"
    assert filters.number(12.34) == "12.3"
    assert filters.number(float("inf")) == "–"
    assert filters.count(1_540_000_000) == "1.54 G"
    assert filters.count(950) == "950"
    assert filters.percent(0.05) == "5%"
    assert filters.percent(0.153) == "15.3%"
    assert filters.percent(1.0) == "100%"
    assert filters.minutes(600) == "10.0 min"
    assert (filters.minutes_up(61.0), filters.minutes_up(0.1)) == (2, 1)
    assert (filters.plural(1, "probe"), filters.plural(1234, "probe")) == (
        "1 probe",
        "1,234 probes",
    )


def test_values_and_configs():
    config = {"layers": 4, "norm": "rms", "bias": True, "rate": 0.1234567891}
    assert filters.settings(config) == "layers=4 norm=rms bias=true rate=0.123457"
    assert filters.words("does_not_fit") == "does not fit"
    assert filters.sentence("batch 8 needs 2 GiB") == "Batch 8 needs 2 GiB."
    assert filters.sentence("It fits.") == "It fits."
    assert filters.sentence("stopped.") == "Stopped."
    assert filters.sentence(None) == ""


@pytest.mark.parametrize(
    "text",
    [
        "training.max_length=512: the longest row has 700 tokens.",
        "max_batch is too small.",
        "layers=1: it crashed.",
        "train.py:Net cannot be imported.",
    ],
)
def test_an_identifier_that_begins_a_sentence_is_not_capitalised(text):
    assert filters.sentence(text) == text


def test_moments():
    now = utc_now()
    assert filters.ago(now - timedelta(seconds=12)).endswith("s ago")
    assert filters.ago(now - timedelta(minutes=5, seconds=1)) == "5 min ago"
    assert filters.ago((now - timedelta(hours=3)).isoformat()) == "3 h ago"
    assert filters.moment("2026-01-02T03:04:05+00:00") == "2026-01-02 03:04 UTC"
