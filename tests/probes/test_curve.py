"""The curve the search predicts with: a secant through few points, helped by a prior."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probes.curve import fit
from probes.prior import Prior


def quadratic(b: float) -> float:
    return 100 + 2 * b + 0.01 * b * b


def test_no_points_give_no_curve() -> None:
    assert fit({}) is None


def test_one_point_rises_from_what_is_there_between_steps() -> None:
    curve = fit({10: 200.0}, base=100.0)
    assert curve is not None
    assert curve.value(20) == pytest.approx(300)


@given(base=st.floats(0, 1e9), slope=st.floats(1e-3, 1e6), limit=st.integers(100, 10_000))
def test_a_line_is_met_exactly_and_its_edge_found(base: float, slope: float, limit: int) -> None:
    curve = fit({8: base + slope * 8, 60: base + slope * 60})
    assert curve is not None
    assert curve.reaches(base + slope * limit, 100_000) == pytest.approx(limit, rel=1e-3)


def test_an_upward_bend_is_followed_and_a_downward_one_is_not() -> None:
    up = fit({b: quadratic(b) for b in (20, 60, 150)})
    down = fit({b: 100 * math.sqrt(b) for b in (20, 60, 150)})
    assert up is not None and down is not None
    assert up.value(300) == pytest.approx(quadratic(300), rel=1e-6)
    assert down.value(300) > 100 * math.sqrt(300), "the error is on the safe side"


def test_close_neighbours_do_not_make_the_slope() -> None:
    curve = fit({10: 100.0, 97: 970.0, 100: 1060.0})
    assert curve is not None
    assert curve.value(200) == pytest.approx(1060 + 100 * (1060 - 100) / 90)


def test_a_prior_gives_the_shape_and_one_point_the_offset() -> None:
    prior = Prior([(b, int(quadratic(b))) for b in (4, 16, 120, 200)], cap_bytes=1000)
    curve = fit({120: quadratic(120) + 50}, prior=prior)
    assert curve is not None
    assert curve.value(200) == pytest.approx(quadratic(200) + 50, rel=0.01)
    assert curve.band <= 0.1


def test_with_a_prior_two_points_give_its_scale() -> None:
    prior = Prior([(b, int(1000 * quadratic(b))) for b in (4, 16, 60, 120, 200)], cap_bytes=1000)
    points = {b: 7 + 1.3 * quadratic(b) for b in (60, 120)}
    curve = fit(points, prior=prior)
    assert curve is not None
    assert curve.value(200) == pytest.approx(7 + 1.3 * quadratic(200), rel=0.01)


def test_a_prior_that_sees_no_growth_is_not_used() -> None:
    flat = Prior([(4, 100), (50, 100), (200, 101)], cap_bytes=1000)
    curve = fit({10: 100.0, 40: 400.0}, prior=flat)
    assert curve is not None and curve.prior is None
    assert curve.value(80) == pytest.approx(800)


def test_what_does_not_grow_is_never_reached() -> None:
    curve = fit({10: 100.0, 100: 100.0})
    assert curve is not None and math.isinf(curve.reaches(101, 10**6))


def test_a_prior_interpolates_and_goes_on_beyond_its_last_point() -> None:
    prior = Prior([(10, 100), (20, 200), (40, 600)], cap_bytes=600)
    assert [prior.at(b) for b in (5, 15, 30, 50)] == [50, 150, 400, 800]


def test_a_prior_of_one_point_or_without_growth_says_nothing() -> None:
    assert not Prior(reason="no")
    assert not Prior([(4, 10), (8, 10)], 100)
    assert Prior([(4, 10), (8, 11)], 100)


POINTS = st.dictionaries(
    st.integers(1, 5000), st.floats(1, 1e10, allow_nan=False), min_size=1, max_size=8
)


def priors() -> st.SearchStrategy[Prior | None]:
    rising = st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 10**10)), min_size=2)
    made = rising.map(
        lambda found: Prior(
            list(zip(sorted({b for b, _ in found}), sorted(y for _, y in found))), cap_bytes=10**10
        )
    )
    return st.none() | made


@given(points=POINTS, base=st.floats(0, 1e10), prior=priors(), ceiling=st.integers(2, 10_000))
def test_a_curve_never_falls_and_is_never_negative(
    points: dict[int, float], base: float, prior: Prior | None, ceiling: int
) -> None:
    curve = fit(points, base, prior)
    assert curve is not None
    batches = sorted({*points, *(1 + ceiling * k // 50 for k in range(51))})
    values = [curve.value(batch) for batch in batches]
    assert all(value >= 0 for value in values)
    assert all(later >= earlier * (1 - 1e-9) for earlier, later in zip(values, values[1:]))
    assert all(0 <= e.low <= e.value <= e.high for e in map(curve.at, batches))


@given(points=POINTS, base=st.floats(0, 1e10), prior=priors())
def test_what_was_measured_is_within_the_band(
    points: dict[int, float], base: float, prior: Prior | None
) -> None:
    curve = fit(points, base, prior)
    assert curve is not None
    for batch, value in points.items():
        e = curve.at(batch)
        rounding = 1e-9 * e.high
        assert e.low - rounding <= value <= e.high + rounding


@given(points=POINTS)
def test_where_more_samples_took_more_the_curve_goes_through_every_point(
    points: dict[int, float],
) -> None:
    rising = dict(zip(sorted(points), sorted(points.values())))
    curve = fit(rising)
    assert curve is not None
    assert [curve.value(b) for b in rising] == pytest.approx(list(rising.values()))


def test_batch_one_needs_at_least_what_is_there_between_steps() -> None:
    """A line through 16 and 64 would say −16 MiB."""
    curve = fit({16: 100.0, 64: 470.0}, base=30.0)
    assert curve is not None
    assert curve.value(1) == 30
