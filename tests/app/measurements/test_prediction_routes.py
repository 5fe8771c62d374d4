"""``/v1/predictions``: predictions beside what was measured."""

from __future__ import annotations

import pytest

from app.measurements import service as measurements
from optimizer.records import Prediction
from probes.measurement import Verdict
from tests.app import factories

GIB = 2**30


@pytest.fixture
def graded(database):
    """Peaks of 100 GiB, predicted 1 % to 20 % too high; step times of 0.1 s, 10 % too low."""
    for number in range(1, 21):
        made = factories.measurement(number, peak_bytes=100 * GIB, workload="a")
        too_high = (100 + number) * GIB
        predictions = [
            Prediction("peak_bytes", too_high, 90 * GIB, 110 * GIB),
            Prediction("step_time_s", 0.09, 0.08, 0.095),
        ]
        measurements.record(database, factories.scope(workload="a"), made, predictions)


def test_median_and_95th_percentile_by_workload_and_quantity(api, graded):
    peak, step = api.get("/v1/predictions").json()
    assert (peak["workload"], peak["quantity"], peak["count"]) == ("a", "peak_bytes", 20)
    assert peak["median_error"] == pytest.approx(0.105)
    assert peak["p95_error"] == pytest.approx(0.19)
    assert peak["median_bias"] == pytest.approx(0.105)
    assert peak["within_interval"] == 1.0
    assert step["median_bias"] == pytest.approx(-0.1)
    assert step["median_error"] == pytest.approx(0.1)
    assert step["within_interval"] == 0.0


def test_filters(api, graded):
    found = api.get("/v1/predictions", params={"quantity": "step_time_s"}).json()
    assert [each["quantity"] for each in found] == ["step_time_s"]
    assert api.get("/v1/predictions", params={"workload": "b"}).json() == []


def test_a_run_that_did_not_pass_grades_nothing(api, database):
    oom = factories.measurement(verdict=Verdict.OOM)
    measurements.record(database, factories.scope(), oom, [Prediction("peak_bytes", 1.0, 0.5, 2.0)])
    assert api.get("/v1/predictions").json() == []
