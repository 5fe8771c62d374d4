"""Sizes and durations as people read and write them."""

from __future__ import annotations

import math

import pytest

from probes.errors import InputError
from probes.formatting import (
    duration_text,
    finite,
    first_line,
    parse_size,
    size_text,
    three_digits,
)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (0, "0 µs"),
        (0.00082, "820 µs"),
        (0.0124, "12.4 ms"),
        (3.213, "3.21 s"),
        (50, "50 s"),
        (245, "4 min 5 s"),
        (1200, "20 min"),
        (7800, "2 h 10 min"),
        (273_700, "3 d 4 h"),
    ],
)
def test_duration(seconds, text):
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (None, "–"),
        (12 * 2**10, "12 KiB"),
        (64 * 2**20, "64 MiB"),
        (12.34 * 2**20, "12.3 MiB"),
        (640.4 * 2**20, "640 MiB"),
        (3 * 2**29, "1.50 GiB"),
        (-3 * 2**29, "-1.50 GiB"),
    ],
)
def test_size(size_bytes, text):
    assert size_text(size_bytes) == text


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("2GiB", 2**31), ("512 MiB", 2**29), ("1.5gb", 1_500_000_000), (" .5TiB ", 2**39)],
)
def test_a_size_with_its_unit_is_read(text, size_bytes):
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["2", "GiB", "2 apples", "-1GiB", "1KiB", ""])
def test_what_is_not_a_size_to_train_in_is_refused_by_its_text(text):
    with pytest.raises(InputError) as caught:
        parse_size(text)
    assert repr(text) in str(caught.value)


def test_three_digits_never_have_an_exponent():
    assert [three_digits(v) for v in (0, 0.001234, 1.234, 12.34, 123.4, 1234567.0)] == [
        "0", "0.00123", "1.23", "12.3", "123", "1,234,567",
    ]  # fmt: skip


def test_numbers_that_json_does_not_have_become_none():
    document = {"a": math.nan, "b": [1.0, (math.inf, "x")]}
    assert finite(document) == {"a": None, "b": [1.0, [None, "x"]]}
    assert (finite(-math.inf), finite(2.5)) == (None, 2.5)


def test_an_error_is_told_by_its_first_line_or_without_a_text_by_its_type() -> None:
    assert first_line(ValueError("\n  no such file \nat line 3")) == "no such file"
    assert first_line(ConnectionResetError()) == "ConnectionResetError"
    assert first_line("") == ""
    assert first_line("x" * 400) == "x" * 299 + "…"
