"""What a test says, in plain English."""

from __future__ import annotations

import math

from finetuning.comparison.result import Finding, PairedTest
from probes.formatting import plural, three_digits


def sentence(test: PairedTest, *, tests: int, level: float, confidence: float) -> str:
    """One or two sentences: the finding, the figures, the interval, and what could have been seen.

    ``tests``: how many Holm's correction covers.
    """
    what = _what(test)
    if test.finding is Finding.EQUAL:
        few = (
            f" {count_of(test)} are too few to tell whether they differ elsewhere."
            if test.p_value is None
            else ""
        )
        return (
            f"{what}: {test.model} equals {test.baseline}. Both have the same value on "
            f"{'all ' if test.items > 1 else ''}{plural(test.items, 'item')} "
            f"({value_text(test.model_value, test.unit)}).{few}"
        )
    if test.finding is Finding.CANNOT_TELL:
        return (
            f"{what}: it cannot be told whether {test.model} differs from {test.baseline}. "
            f"{test.reason}"
        )
    figures = (
        f"{value_text(test.model_value, test.unit)} against "
        f"{value_text(test.baseline_value, test.unit)}; {_interval(test, confidence)}"
    )
    p = f"p = {p_text(test.p_adjusted)}{_correction(tests)}"
    if test.finding is Finding.NO_DIFFERENCE:
        return (
            f"{what}: no difference between {test.model} and {test.baseline} was found ({figures}; "
            f"{p}).{_detectable(test)}{_almost(test, tests, level)}"
        )
    return (
        f"{what}: {test.model} is {test.finding.value} than {test.baseline} by "
        f"{value_text(abs(test.difference or 0.0), test.unit)} ({figures}; {p}; "
        f"{count_of(test)})."
    )


def count_of(test: PairedTest) -> str:
    """``40 games``."""
    return plural(test.groups, test.noun)


def value_text(value: float | None, unit: str = "") -> str:
    """A figure with its unit, with a true minus sign: ``3.10 apples``."""
    if value is None or not math.isfinite(value):
        return "no figure"
    small = 0 < abs(value) < 1e-6
    text = f"{abs(value):.2e}" if small or abs(value) >= 1e9 else three_digits(abs(value))
    return f"{'−' if value < 0 else ''}{text}{f' {unit}' if unit else ''}"


def p_text(p_value: float | None) -> str:
    """Two significant digits, and never 0."""
    if p_value is None:
        return "none"
    return f"{p_value:.2g}" if p_value >= 0.0001 else "less than 0.0001"


def _what(test: PairedTest) -> str:
    """``snake, score (source 8x8)``."""
    source = f" (source {test.source})" if test.source is not None else ""
    return f"{test.task}, {test.metric.replace('_', ' ')}{source}"


def _interval(test: PairedTest, confidence: float) -> str:
    return (
        f"difference {value_text(test.difference)}, {confidence * 100:g} % interval "
        f"{value_text(test.low)} to {value_text(test.high)}"
    )


def _correction(tests: int) -> str:
    return f" after correction for {tests} tests" if tests > 1 else ""


def _detectable(test: PairedTest) -> str:
    if test.detectable is None:
        return ""
    return f" {count_of(test)} could have shown one of {value_text(test.detectable, test.unit)}."


def _almost(test: PairedTest, tests: int, level: float) -> str:
    """Where one test alone would have found it: says why that does not count."""
    if test.p_value is None or test.p_value > level:
        return ""
    return (
        f" By itself this test has p = {p_text(test.p_value)}, which does not hold among "
        f"{tests} tests."
    )
