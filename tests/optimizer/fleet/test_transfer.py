"""What a class would take, judging by work that ran on it and on another one."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optimizer.fleet.candidate import FleetClass
from optimizer.fleet.transfer import Transfer
from tests.optimizer.fleet.made import MIB, reading

B = FleetClass("b", "device b", 1024 * MIB)


def priors(*readings, target=B):
    return {
        p.reading.work.config["layers"]: p
        for p in Transfer(readings, "net").priors(target, {"a": "device a"})
    }


def test_the_ratio_on_other_work_carries_a_time_over():
    found = priors(
        reading("a", 1, 0.1), reading("a", 2, 0.2), reading("a", 3, 0.4),
        reading("b", 1, 0.05), reading("b", 2, 0.1),
    )  # fmt: skip
    assert list(found) == [3]
    prior = found[3]
    assert prior.reading.step_s.mean == pytest.approx(0.2)
    assert not prior.is_measured
    assert not prior.reading.is_confirmed
    assert "device a" in prior.source
    assert "2 other configs" in prior.source


def test_another_workload_is_used_where_there_is_nothing_nearer():
    found = priors(
        reading("a", 1, 0.1),
        reading("a", 7, 1.0, workload="other"), reading("b", 7, 0.25, workload="other"),
    )  # fmt: skip
    assert found[1].reading.step_s.mean == pytest.approx(0.025)
    assert "other workloads" in found[1].source


def test_without_common_work_there_is_no_prior():
    other = reading("b", 7, 0.25, workload="other")
    assert priors(reading("a", 1, 0.1), other) == {}


def test_more_ratios_that_agree_make_the_band_narrower():
    def width(count):
        ran = [reading(c, n, s * n) for n in range(2, 2 + count) for c, s in (("a", 1), ("b", 0.5))]
        step = priors(reading("a", 1, 1.0), *ran)[1].reading.step_s
        return step.high / step.low

    assert width(1) > width(3) > width(8) > 1.04


def test_ratios_that_disagree_make_the_band_wider():
    agree = priors(
        *(reading("a", n, n) for n in (1, 2, 3)), reading("b", 2, 1.0), reading("b", 3, 1.5)
    )
    differ = priors(
        *(reading("a", n, n) for n in (1, 2, 3)), reading("b", 2, 0.5), reading("b", 3, 3.0)
    )
    widths = [f[1].reading.step_s.high / f[1].reading.step_s.low for f in (agree, differ)]
    assert widths[1] > 2 * widths[0]


def test_a_batch_that_does_not_fit_is_no_prior():
    small = FleetClass("b", "device b", 150 * MIB)
    found = priors(
        reading("a", 1, 0.1, batch_size=4, peak_mib=100),
        reading("a", 1, 0.2, batch_size=16, peak_mib=200),
        reading("a", 2, 0.1), reading("b", 2, 0.1),
        target=small,
    )  # fmt: skip
    assert found[1].reading.batch_size == 4
    assert found[1].reading.peak_bytes == 100 * MIB


def test_times_at_other_batches_are_compared_between_those_that_ran():
    found = priors(
        reading("a", 1, 0.3),
        reading("a", 2, 0.1, batch_size=8), reading("a", 2, 0.3, batch_size=24),
        reading("b", 2, 0.1, batch_size=16),
    )  # fmt: skip
    assert found[1].reading.step_s.mean == pytest.approx(0.15)


def test_a_few_steps_on_the_class_itself_are_better_than_a_transfer_but_not_measured():
    found = priors(
        reading("a", 1, 0.1), reading("a", 2, 0.2),
        reading("b", 1, 0.07, confirmed=False), reading("b", 2, 0.1),
    )  # fmt: skip
    assert found[1].reading.step_s.mean == 0.07
    assert not found[1].is_measured


def test_groups_of_another_size_are_not_compared():
    assert (
        priors(reading("a", 1, 0.1, ranks=2), reading("a", 2, 0.1, ranks=2), reading("b", 2, 0.1))
        == {}
    )


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0.01, 10), min_size=2, max_size=6),
    st.floats(0.05, 20),
    st.lists(st.floats(-0.5, 0.5), min_size=6, max_size=6),
)
def test_a_band_is_in_order_and_around_its_middle(times, factor, noise):
    ran = [reading("a", n, t) for n, t in enumerate(times)]
    ran += [reading("b", n, t * factor * math.exp(noise[n])) for n, t in enumerate(times[1:], 1)]
    step = priors(*ran)[0].reading.step_s
    assert 0 < step.low <= step.mean <= step.high
    assert step.is_estimate


def test_the_band_covers_the_truth_nine_times_in_ten():
    chance, inside, rounds = random.Random(1), 0, 400
    for _ in range(rounds):
        spread = chance.choice([0.1, 0.2, 0.4])
        truth = [math.exp(chance.gauss(0.7, spread)) for _ in range(6)]
        ran = [reading("a", n, 1.0) for n in range(6)]
        ran += [reading("b", n, truth[n]) for n in range(1, 6)]
        step = priors(*ran)[0].reading.step_s
        inside += step.low <= truth[0] <= step.high
    assert 0.85 <= inside / rounds <= 0.97
