"""The mean step and its interval."""

from __future__ import annotations

import random

import pytest

from probes.timing import REPEATABILITY, is_precise, is_steady, mean_interval, summarise


def steps(n: int, spread: float, seed: int = 0) -> list[float]:
    draw = random.Random(seed)
    return [0.1 * (1 + draw.uniform(-spread, spread)) for _ in range(n)]


def test_the_interval_holds_the_mean_and_narrows_with_more_steps() -> None:
    few, many = steps(12, 0.3), steps(300, 0.3)
    for durations in (few, many):
        low, high = mean_interval(durations)
        assert low <= sum(durations) / len(durations) <= high
    assert (mean_interval(many)[1] - mean_interval(many)[0]) < 0.5 * (
        mean_interval(few)[1] - mean_interval(few)[0]
    )


@pytest.mark.parametrize(("kind", "least"), [("cpu", REPEATABILITY["cpu"]), ("cuda", 0.01)])
def test_no_interval_is_narrower_than_processes_differ(kind: str, least: float) -> None:
    timing = summarise(
        [0.1] * 50, [], warmup_steps=4, steady=True, half_width=0.01, device_kind=kind
    )
    assert timing.converged, "its own steps could not be clearer"
    assert timing.low_s == pytest.approx(0.1 * (1 - least))
    assert timing.high_s == pytest.approx(0.1 * (1 + least))


def test_what_varies_within_a_run_adds_to_that() -> None:
    timing = summarise(
        steps(20, 0.5), [], warmup_steps=4, steady=True, half_width=0.01, device_kind="cpu"
    )
    assert not timing.converged
    assert timing.high_s - timing.mean_s > 0.05 * timing.mean_s
    assert 0 <= timing.low_s < timing.mean_s


def test_steady_is_three_windows_that_agree_and_do_not_fall() -> None:
    assert is_steady([0.1] * 9)
    assert not is_steady([0.1] * 8)
    assert not is_steady([0.104] * 3 + [0.102] * 3 + [0.1] * 3)
    assert not is_steady([0.1] * 6 + [0.2] * 3)


def test_precise_is_relative_to_the_mean() -> None:
    assert is_precise(steps(200, 0.02), 0.01)
    assert not is_precise(steps(10, 0.5), 0.01)
    assert not is_precise([0.1, 0.1], 0.01)
