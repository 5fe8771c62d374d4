"""Which of several recommendations counts."""

from __future__ import annotations

from app.recommendations.preferred import preferred
from optimizer.records import Recommendation
from tests.app import factories

GIB = 2**30


def made(identity: str, limit_gib: int, *, scale: float = 1.0, **changes) -> Recommendation:
    study = factories.recommendation().study | {"time_scale": scale}
    return factories.recommendation(identity, limit_bytes=limit_gib * GIB, study=study, **changes)


def chosen(*found: Recommendation, **options) -> str:
    one = preferred(found, **options)
    assert one is not None
    return one.id


def test_there_may_be_none():
    assert preferred([]) is None


def test_a_trial_with_scaled_times_counts_only_where_there_is_nothing_else():
    trial, whole = made("rec_2", 128, scale=0.001), made("rec_1", 192)
    assert chosen(trial, whole) == "rec_1"
    assert chosen(trial) == "rec_2"
    assert chosen(trial, whole, time_scale=0.001) == "rec_2"


def test_a_smaller_memory_was_an_emulation():
    assert chosen(made("rec_2", 128), made("rec_1", 192)) == "rec_1"
    assert chosen(made("rec_3", 192), made("rec_2", 128), made("rec_1", 192)) == "rec_3"


def test_more_memory_than_there_is_counts_only_where_there_is_nothing_else():
    large, small = made("rec_2", 80), made("rec_1", 16)
    assert chosen(large, small, most_bytes=24 * GIB) == "rec_1"
    assert chosen(large, most_bytes=24 * GIB) == "rec_2"


def test_the_newest_says_what_is_trained():
    newest, other = made("rec_2", 16, budget="production"), made("rec_1", 80)
    assert chosen(newest, other) == "rec_2"
    source = {**other.valid, "workload_hash": "before"}
    assert chosen(made("rec_2", 16), made("rec_1", 80, valid=source)) == "rec_2"
