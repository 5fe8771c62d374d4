from __future__ import annotations

import math
import random
import statistics

import pytest

from app.recommendations.compare import Interval, Result, compare, ratio_of
from probes.measurement import Verdict
from tests.app.factories import measurement, step_time


def result(mean_s: float, half: float = 0.05, batch: int = 8, **changes) -> Result:
    timing = step_time(mean_s)
    timing = timing.__class__(
        **{**vars(timing), "low_s": mean_s * (1 - half), "high_s": mean_s * (1 + half)}
    )
    run = measurement(batch, step_time=timing, **changes)
    return Result("rec_1", "a", run.workload, "cpu", "CPU", run.config, run)


class TestSignificance:
    def test_far_apart_is_faster(self):
        found = compare(result(0.2), result(0.1))
        assert found.throughput.answer == "faster"
        assert found.throughput.ratio.mean == pytest.approx(2.0)
        assert found.sentence.startswith("B is significantly faster: +100% throughput (+8")

    def test_the_same_is_equal(self):
        found = compare(result(0.1), result(0.1))
        assert found.throughput.answer == "equal"
        assert found.sentence.startswith("No significant difference in throughput")

    def test_intervals_that_overlap_may_still_differ(self):
        a, b = result(0.100, half=0.05), result(0.109, half=0.05)
        assert a.step_time_s.high > b.step_time_s.low
        assert compare(a, b).throughput.answer == "slower"

    def test_it_is_throughput_that_counts_not_the_step(self):
        found = compare(result(0.1, batch=8), result(0.15, batch=16))
        assert found.throughput.answer == "faster"

    def test_turned_round_the_answer_turns_too(self):
        forth, back = compare(result(0.1), result(0.12)), compare(result(0.12), result(0.1))
        assert (forth.throughput.answer, back.throughput.answer) == ("slower", "faster")
        assert forth.throughput.ratio.low == pytest.approx(1 / back.throughput.ratio.high)

    def test_an_interval_down_to_zero_decides_nothing(self):
        found = compare(result(0.1, half=1.0), result(0.001))
        assert found.throughput.answer == "unknown"
        assert "too wide" in found.sentence

    def test_without_a_step_time_nothing_is_said_of_the_pace(self):
        run = measurement(8, Verdict.OOM)
        found = compare(result(0.1), Result("rec_2", "b", run.workload, "cpu", "CPU", {}, run))
        assert found.throughput is None
        assert "no step time" in found.sentence


class TestRatio:
    def test_a_known_mean_has_a_sharp_ratio(self):
        exact = ratio_of(Interval(2.0, 2.0, 2.0), Interval(4.0, 4.0, 4.0))
        assert (exact.mean, exact.low, exact.high) == (0.5, 0.5, 0.5)

    def test_distances_add_up_in_quadrature(self):
        half = ratio_of(
            Interval(1, math.exp(-0.3), math.exp(0.3)), Interval(1, math.exp(-0.4), math.exp(0.4))
        )
        assert (math.log(half.low), math.log(half.high)) == pytest.approx((-0.5, 0.5))

    def test_it_covers_the_truth_as_often_as_it_says(self):
        """90 % intervals of two means in, a 90 % interval of their ratio out."""
        generator = random.Random(1)

        def sampled(mean: float) -> Interval:
            steps = [generator.gauss(mean, 0.2 * mean) for _ in range(30)]
            centre, error = statistics.fmean(steps), statistics.stdev(steps) / math.sqrt(30)
            return Interval(centre, centre - 1.699 * error, centre + 1.699 * error)

        trials = 2000
        found = [ratio_of(sampled(3.0), sampled(2.0)) for _ in range(trials)]
        covered = sum(each.low <= 1.5 <= each.high for each in found) / trials
        assert covered == pytest.approx(0.90, abs=0.025)


class TestCaveats:
    def test_a_disturbed_side_is_named(self):
        found = compare(result(0.1), result(0.1, tainted=["power cap"]))
        assert len(found.caveats) == 1
        assert found.caveats[0].startswith("B was measured") and "(power" in found.caveats[0]

    def test_two_workloads_are_not_one(self):
        found = compare(result(0.1), result(0.1, workload="other"))
        assert "workloads differ" in found.caveats[0]

    def test_a_clean_pair_has_none(self):
        assert compare(result(0.1), result(0.2)).caveats == []
