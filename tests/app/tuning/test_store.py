from __future__ import annotations

import math
from dataclasses import replace

import pytest

from app.measurements import service as measurement_service
from app.studies import view
from app.tuning import service, tune
from app.tuning.store import SqlStudyStore
from optimizer.records import Prediction, Store
from probes.measurement import Growth, Measurement, Purpose, Trace, Verdict
from tests.app import factories

CONFIG = {"layers": 2, "activation": "relu"}
BRACKET, CONFIRM = Purpose.BRACKET, Purpose.CONFIRM


def open_store(database, budget="smoke_test", fresh=False, **scope) -> SqlStudyStore:
    spec = factories.spec(budget, **scope)
    study, _ = service.open_study(database, spec, fresh)
    store: Store = SqlStudyStore(database, study.id, spec)
    return store


@pytest.fixture
def store(database):
    return open_store(database)


def keep(store: SqlStudyStore, *args, **changes) -> Measurement:
    run = factories.measurement(*args, **changes)
    store.add_measurement(0, run, [])
    return run


class TestMeasurements:
    def test_come_back_equal_oldest_first(self, store):
        full = factories.measurement(
            8,
            growth=Growth(10.5, 9.0, 12.0, 24, None),
            trace=Trace([0.1, 0.2], [2**40, 2**41]),
            phase_peak_bytes={"train": 2**40},
            last_loss=math.inf,
            state={"power": {"missing": "no sensor"}},
            stderr_tail="half \udc80 nul \x00",
        )
        store.add_measurement(0, full, [])
        died = keep(store, 9, Verdict.OOM)
        assert store.measurements() == [full, died]

    def test_a_loss_that_is_not_a_number_stays_one(self, store):
        keep(store, 8, Verdict.NON_FINITE, last_loss=math.nan)
        assert math.isnan(store.measurements()[0].last_loss)


class TestFindingInTheSameStudy:
    @pytest.mark.parametrize("verdict", list(Verdict))
    def test_any_verdict_is_found(self, store, verdict):
        run = keep(store, 8, verdict)
        assert store.find_measurement(CONFIG, 8, CONFIRM) == run

    def test_the_order_of_a_configs_keys_does_not_matter(self, store):
        run = keep(store, 8)
        assert store.find_measurement(dict(reversed(CONFIG.items())), 8, CONFIRM) == run

    @pytest.mark.parametrize(
        ("config", "batch_size", "purpose"),
        [
            ({**CONFIG, "layers": 4}, 8, CONFIRM),
            (CONFIG, 16, CONFIRM),
        ],
    )
    def test_another_config_or_batch_is_not(self, store, config, batch_size, purpose):
        keep(store, 8)
        assert store.find_measurement(config, batch_size, purpose) is None

    def test_a_tainted_one_is_too_and_the_study_decides_whether_it_will_do(self, store):
        run = keep(store, 8, tainted=["throttled"])
        assert store.find_measurement(CONFIG, 8, CONFIRM) == run

    def test_a_clean_one_of_another_study_comes_before_its_own_tainted_one(self, database, store):
        keep(store, 8, tainted=["throttled"])
        clean = keep(open_store(database, "prototyping"), 8)
        assert store.find_measurement(CONFIG, 8, CONFIRM) == clean

    def test_a_clean_one_comes_before_a_newer_tainted_one(self, store):
        clean = keep(store, 8)
        keep(store, 8, tainted=["throttled"])
        assert store.find_measurement(CONFIG, 8, CONFIRM) == clean

    def test_a_passed_confirmation_answers_for_a_bracket(self, store):
        run = keep(store, 8, Verdict.STABLE, CONFIRM)
        assert store.find_measurement(CONFIG, 8, BRACKET) == run

    def test_but_a_bracket_comes_first_where_both_are_disturbed(self, store):
        bracket = keep(store, 8, purpose=BRACKET, tainted=["throttled"])
        keep(store, 8, purpose=CONFIRM, tainted=["throttled"])
        assert store.find_measurement(CONFIG, 8, BRACKET) == bracket

    def test_a_failed_confirmation_does_not(self, store):
        keep(store, 8, Verdict.OOM, CONFIRM)
        assert store.find_measurement(CONFIG, 8, BRACKET) is None

    def test_a_bracket_never_answers_for_a_confirmation(self, store):
        keep(store, 8, Verdict.STABLE, BRACKET)
        assert store.find_measurement(CONFIG, 8, CONFIRM) is None


class TestFindingFromElsewhere:
    @pytest.mark.parametrize("verdict", list(Verdict))
    def test_only_verdicts_about_the_config_are_reused(self, database, verdict):
        keep(open_store(database), 8, verdict)
        found = open_store(database, "prototyping").find_measurement(CONFIG, 8, CONFIRM)
        reusable = {"stable", "oom", "shape_limit", "leak", "non_finite"}
        assert (found is not None) == (str(verdict) in reusable)

    def test_what_is_reused_is_listed_with_the_study_once(self, database):
        run = keep(open_store(database), 8)
        other = open_store(database, "prototyping")
        assert other.measurements() == []
        for _ in range(2):
            assert other.find_measurement(CONFIG, 8, CONFIRM) == run
        own = keep(other, 16)
        assert other.measurements() == [run, own]

    def test_a_single_probe_is_reused_too(self, database):
        run = factories.measurement(8)
        measurement_service.record(database, factories.scope(), run)
        assert open_store(database).find_measurement(CONFIG, 8, CONFIRM) == run

    @pytest.mark.parametrize(
        "difference",
        [{"limit_bytes": 1}, {"fingerprint": "other"}, {"workload_hash": "x"}, {"headroom": 0.1}],
    )
    def test_another_scope_is_never_reused(self, database, difference):
        keep(open_store(database), 8)
        other = open_store(database, "prototyping", **difference)
        assert other.find_measurement(CONFIG, 8, CONFIRM) is None

    def test_a_fresh_study_reuses_only_what_was_measured_since_it_began(self, database):
        before = open_store(database)
        keep(before, 8)
        fresh = open_store(database, "prototyping", fresh=True)
        assert fresh.find_measurement(CONFIG, 8, CONFIRM) is None
        later = keep(before, 8, reason="measured again")
        assert fresh.find_measurement(CONFIG, 8, CONFIRM) == later

    def test_a_resumed_fresh_study_still_finds_its_own(self, database):
        spec = factories.spec()
        study, _ = service.open_study(database, spec, fresh=True)
        run = keep(SqlStudyStore(database, study.id, spec), 8, Verdict.CRASH)
        service.stop(database, study.id)
        again, opening = service.open_study(database, spec)
        assert opening == "resumed"
        assert SqlStudyStore(database, again.id, spec).find_measurement(CONFIG, 8, CONFIRM) == run

    def test_the_studys_own_comes_first_then_the_newest(self, database):
        first = open_store(database)
        own = keep(first, 8, reason="own")
        second = open_store(database, "prototyping")
        keep(second, 8, reason="theirs, newer")
        assert first.find_measurement(CONFIG, 8, CONFIRM) == own
        third = open_store(database, "third")
        assert third.find_measurement(CONFIG, 8, CONFIRM).reason == "theirs, newer"


class TestTrials:
    def test_come_back_equal_in_order_of_their_numbers(self, store):
        pruned = factories.trial(
            1,
            state="pruned",
            batch_size=None,
            binding=None,
            throughput_samples_per_s=None,
            violation={},
        )
        store.add_trial(factories.trial(2))
        store.add_trial(pruned)
        store.add_trial(factories.trial(0))
        assert store.trials() == [factories.trial(0), pruned, factories.trial(2)]

    def test_settling_twice_replaces(self, store):
        store.add_trial(factories.trial(0, state="failed"))
        store.add_trial(factories.trial(0))
        assert store.trials() == [factories.trial(0)]


class TestPredictions:
    def test_are_graded_by_what_was_measured(self, database, store):
        run = factories.measurement(8, peak_bytes=1000)
        store.add_measurement(
            0,
            run,
            [Prediction("peak_bytes", 1100, 900, 1300), Prediction("step_time_s", 0.2, 0, 1)],
        )
        died = factories.measurement(16, Verdict.OOM)
        store.add_measurement(0, died, [Prediction("peak_bytes", 2000, 1000, math.inf)])
        memory, time, unknown = store.grades()
        assert (memory.measured, memory.error) == (1000, pytest.approx(0.1))
        assert (time.measured, time.error) == (0.1, pytest.approx(1.0))
        assert (unknown.measured, unknown.error, unknown.high) == (None, None, math.inf)

    def test_one_without_a_value_is_not_kept(self, database, store):
        store.add_measurement(
            0, factories.measurement(8), [Prediction("peak_bytes", math.nan, 0, 1)]
        )
        assert store.grades() == []


def test_storing_is_a_sign_of_life(database, store):
    (before,) = view.page(database, limit=2)
    keep(store, 8)
    assert service.get(database, before.id).updated_at > before.updated_at


def test_favourites_are_what_was_recommended_before_the_study_began(database):
    earlier = service.open_study(database, replace(factories.spec(), seed=1))[0]
    service.finish(database, earlier.id, factories.recommendation("rec_1", {"layers": 2}))
    study = service.open_study(database, factories.spec())[0]
    later = service.open_study(database, replace(factories.spec(), seed=2))[0]
    service.finish(database, later.id, factories.recommendation("rec_2", {"layers": 4}))
    assert tune.favourites(database, factories.spec(), study.id) == [{"layers": 2}]
