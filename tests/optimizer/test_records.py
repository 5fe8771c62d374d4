"""Documents of earlier releases are read as those of this one."""

from __future__ import annotations

from optimizer.choose import cycle_time_s
from optimizer.records import Recommendation, with_mean_cycle_time
from probes.measurement import StepTime
from tests.app import factories

OLD = {"median": 10.0, "low": 9.0, "high": 12.0}
NEW = {"mean": 10.0, "low": 9.0, "high": 12.0, "median": 10.0}


def test_the_cycle_time_is_a_mean_and_the_deprecated_key_repeats_it() -> None:
    timing = StepTime(0.01, 0.02, 0.015, 0.03, 0.01, 0.05, 10, 2, True, 0.0)
    found = cycle_time_s(timing, 100)
    assert (found["mean"], found["low"], found["high"]) == (2.0, 1.5, 3.0)
    assert found["median"] == found["mean"]


def test_a_document_that_only_has_a_median_is_given_its_mean() -> None:
    document = factories.recommendation().to_dict()
    document["cycle_time_s"] = OLD
    document["alternatives"] = document["front"] = [{"batch_size": 8, "cycle_time_s": OLD}]
    found = Recommendation.from_dict(document)
    assert found.cycle_time_s == NEW
    assert found.alternatives == found.front == [{"batch_size": 8, "cycle_time_s": NEW}]
    assert with_mean_cycle_time(found.to_dict()) == found.to_dict()


def test_a_document_that_only_has_a_mean_keeps_the_deprecated_key() -> None:
    found = with_mean_cycle_time({"cycle_time_s": {"mean": 3.0, "low": 2.0, "high": 4.0}})
    assert found["cycle_time_s"]["median"] == 3.0
