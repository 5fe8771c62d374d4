from __future__ import annotations

import pytest

from app.dashboard.charts.capacity import Spot, capacity_figure
from app.dashboard.charts.figure import Figure, Series
from app.dashboard.charts.intervals import intervals_figure
from app.dashboard.charts.memory import memory_figure
from app.dashboard.charts.prediction import prediction_figures
from app.dashboard.charts.stability import stability_figures
from app.dashboard.charts.step_time import step_time_figure
from app.dashboard.charts.units import Unit
from app.recommendations.compare import Interval
from optimizer.records import Grade
from probes.measurement import Growth, Measurement, Purpose, Trace, Verdict
from tests.app.factories import GIB, measurement, step_time

MIB = 2**20


def run(batch: int, peak_gib: float, **changes) -> Measurement:
    known = {
        "purpose": Purpose.BRACKET,
        "peak_bytes": int(peak_gib * GIB),
        "static_bytes": GIB // 10,
        "cap_bytes": int(1.9 * GIB),
        "steps": 6,
    }
    return measurement(batch, **{**known, **changes})


def oom(batch: int, peak_gib: float, requested_gib: float | None = None) -> Measurement:
    asked = None if requested_gib is None else int(requested_gib * GIB)
    return run(batch, peak_gib, verdict=Verdict.OOM, requested_bytes=asked)


def series(figure: Figure, role: str) -> Series:
    return next(each for each in figure.series if each.role == role)


class TestMemory:
    RUNS = (
        run(8, 0.4),
        run(32, 1.0),
        oom(80, 1.7, 0.5),
        run(64, 1.8, purpose=Purpose.CONFIRM),
        run(48, 1.4, purpose=Purpose.CONFIRM),
    )

    def test_every_run_stands_under_what_became_of_it(self):
        figure = memory_figure(self.RUNS, 64)
        assert [p.x for p in series(figure, "passed").points] == [8, 32]
        assert [p.x for p in series(figure, "confirmed").points] == [48]
        assert [p.x for p in series(figure, "chosen").points] == [64]

    def test_a_refused_run_stands_at_what_it_asked_for_with_its_reason(self):
        (point,) = series(memory_figure(self.RUNS, 64), "oom").points
        assert point.y == pytest.approx(2.2)
        assert "ended in oom" in point.note

    def test_one_that_died_without_a_number_stands_at_the_load_line(self):
        died = run(80, 0, verdict=Verdict.TIMEOUT, peak_bytes=None)
        (point,) = series(memory_figure([*self.RUNS, died], 64), "timeout").points
        assert point.y == pytest.approx(1.9)

    def test_limit_load_line_and_headroom(self):
        figure = memory_figure(self.RUNS, 64)
        assert [(r.name, round(r.at, 2)) for r in figure.rules] == [
            ("limit", 2),
            ("load line", 1.9),
        ]
        (zone,) = figure.zones
        assert (zone.name, round(zone.low, 2), zone.high) == ("headroom", 1.9, 2.0)

    def test_the_prediction_has_a_band_and_passes_the_largest_run(self):
        figure = memory_figure(self.RUNS, 64)
        (band,) = figure.bands
        line = series(figure, "prediction").points
        assert all(low <= p.y <= high for low, p, high in zip(band.low, line, band.high))
        near = min(line, key=lambda p: abs(p.x - 64))
        assert near.y == pytest.approx(1.8, rel=0.05)

    def test_a_limit_far_above_is_told_and_not_drawn(self):
        runs = [run(8, 0.05), run(16, 0.1)]
        figure = memory_figure(runs, 16)
        assert figure.rules == [] and figure.zones == []
        assert [rule.name for rule in figure.also] == ["limit", "load line"]
        assert "2.0 GiB" in figure.caption

    def test_a_run_far_beyond_the_batch_is_counted_and_not_drawn(self):
        figure = memory_figure([*self.RUNS, oom(4096, 1.9)], 64)
        assert max(p.x for s in figure.series for p in s.points) < 128
        assert "One probe" in figure.caption and "2.5 times" in figure.caption

    def test_disturbance_is_said(self):
        figure = memory_figure([run(8, 0.4, tainted=["another process used the GPU"])], 8)
        (point,) = series(figure, "passed").points
        assert "disturbed: another process used the GPU" in point.note

    def test_without_a_run_there_is_nothing(self):
        assert memory_figure([], 8).is_empty


class TestStepTime:
    def test_milliseconds_with_intervals(self):
        figure = step_time_figure([run(8, 0.4, step_time=step_time(0.02))], 8, None)
        (point,) = series(figure, "passed").points
        assert figure.y.unit == "ms"
        assert (point.y, point.low, point.high) == pytest.approx((20, 18, 22))

    def test_the_longest_step_of_the_window_is_a_rule_where_it_is_near(self):
        runs = [run(8, 0.4, step_time=step_time(0.02))]
        assert [r.at for r in step_time_figure(runs, 8, 0.03).rules] == pytest.approx([30])
        far = step_time_figure(runs, 8, 5.0)
        assert far.rules == [] and "longer" in far.caption

    def test_a_curve_that_swings_back_is_drawn_where_it_rises(self):
        times = {8: 0.08, 31: 0.09, 113: 0.4, 144: 0.97}
        runs = [run(b, 0.1, step_time=step_time(t)) for b, t in times.items()]
        line = series(step_time_figure(runs, 144, None), "prediction").points
        assert [p.y for p in line] == sorted(p.y for p in line)

    def test_runs_without_a_step_time_are_left_out(self):
        assert step_time_figure([oom(8, 1.0)], 8, None).is_empty


class TestStability:
    def confirmed(self, held: list[int], **changes) -> Measurement:
        trace = Trace([0.1] * len(held), held)
        return run(8, 1.0, purpose=Purpose.CONFIRM, trace=trace, **changes)

    def test_memory_and_pace_share_the_steps(self):
        memory, pace = stability_figures(self.confirmed([GIB] * 28))
        assert memory.together == pace.together != ""
        assert (memory.y.unit, pace.y.unit) == ("GiB", "ms")
        assert [p.x for p in series(pace, "trace").points] == list(range(1, 29))
        assert [(z.low, z.high) for z in memory.zones] == [(0, 4.5)]

    def test_what_does_not_matter_looks_flat(self):
        held = [GIB + 100 * i for i in range(28)]
        memory, _ = stability_figures(self.confirmed(held))
        assert memory.y.high - memory.y.low >= 0.02 * 2
        assert max(held) / GIB < memory.y.high

    def test_a_leak_fills_the_chart_and_is_told(self):
        held = [GIB + 8 * MIB * i for i in range(28)]
        leak = self.confirmed(held, growth=Growth(8 * MIB, 7.9 * MIB, 8.1 * MIB, 24, 150))
        memory, _ = stability_figures(leak)
        drawn = (max(held) - min(held)) / GIB
        assert drawn > 0.7 * (memory.y.high - memory.y.low)
        assert "No growth" not in memory.caption

    def test_a_long_run_is_thinned_but_keeps_its_highest(self):
        held = [MIB] * 100_000
        held[54_321] = 2 * MIB
        memory, _ = stability_figures(self.confirmed(held))
        points = series(memory, "trace").points
        assert len(points) <= 400
        assert [p.x for p in points if p.y == 2] == [54_322]

    def test_no_trace_no_chart(self):
        assert stability_figures(run(8, 1.0)) == []


class TestCapacity:
    def spot(self, parameters: int, throughput: float, **changes) -> Spot:
        return Spot({"width": parameters}, 8, parameters, throughput, **changes)

    def test_the_front_is_what_no_other_beats_in_both(self):
        spots = [self.spot(10, 100.0), self.spot(20, 80.0), self.spot(15, 70.0)]
        figure = capacity_figure(spots)
        assert [p.x for p in series(figure, "front").points] == [10, 20]
        assert [p.x for p in series(figure, "passed").points] == [15]

    def test_the_window_of_choice_and_the_incumbent(self):
        spots = [self.spot(10, 100.0), self.spot(20, 90.0, is_incumbent=True)]
        figure = capacity_figure(spots, throughput_loss=0.15)
        (zone,) = figure.zones
        assert (zone.low, zone.high) == (85.0, 100.0)
        assert [(p.x, p.y) for p in series(figure, "chosen").points] == [(20, 90.0)]

    def test_one_beyond_the_time_window_is_never_on_the_front(self):
        spots = [self.spot(10, 100.0), self.spot(99, 500.0, fits_window=False)]
        figure = capacity_figure(spots)
        assert [p.x for p in series(figure, "front").points] == [10]
        assert [p.x for p in series(figure, "outside").points] == [99]

    def test_what_is_left_out_is_counted(self):
        figure = capacity_figure([self.spot(10, 1.0)], left_out=4400)
        assert "4,400" in figure.caption

    def test_wide_ranges_are_logarithmic(self):
        figure = capacity_figure([self.spot(10, 1.0), self.spot(10_000, 2.0)])
        assert (figure.x.scale, figure.y.scale) == ("log", "linear")

    def test_an_empty_study_has_an_empty_chart(self):
        assert capacity_figure([]).is_empty


class TestPredictions:
    def test_each_quantity_in_its_unit_with_the_error(self):
        grades = [
            Grade("peak_bytes", 2.2 * GIB, 2.0 * GIB, 2.4 * GIB, 2.0 * GIB),
            Grade("step_time_s", 0.05, 0.04, 0.06, 0.1),
            Grade("peak_bytes", 1.0, 1.0, 1.0, None),
        ]
        memory, pace = prediction_figures(grades)
        (point,) = series(memory, "passed").points
        assert (point.x, point.y, point.note) == (2.0, pytest.approx(2.2), "+10.0%")
        assert (memory.x.unit, pace.x.unit) == ("GiB", "ms")
        assert "0 of 1" in pace.caption

    @pytest.mark.parametrize(("graded", "shown"), [(1, False), (4, False), (5, True)])
    def test_a_median_error_needs_five_measurements(self, graded, shown):
        (figure,) = prediction_figures([Grade("step_time_s", 0.05, 0.04, 0.06, 0.1)] * graded)
        assert ("median error 50.0%" in figure.caption) is shown
        assert (str(graded) if graded > 1 else "One") in figure.caption

    def test_nothing_graded_no_chart(self):
        assert prediction_figures([]) == []


def test_intervals_lie_across_with_the_first_on_top():
    sides = {"A": Interval(10, 9, 11), "B": Interval(12, 11, 13)}
    figure = intervals_figure("throughput", Unit("samples/s", 1), sides)
    assert figure.y.categories == ("B", "A")
    assert [(s.name, s.points[0].y, s.across) for s in figure.series] == [
        ("A", 2, True),
        ("B", 1, True),
    ]
