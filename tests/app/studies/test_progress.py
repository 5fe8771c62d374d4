from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from app.database import Database
from app.errors import NotFound
from app.studies import progress as progress_module
from app.studies import view
from app.studies.progress import last_event, outline, progress
from app.tuning import repository
from app.tuning import service as studies
from app.tuning.store import SqlStudyStore
from optimizer.budgets import Budget
from tests.app import factories


@pytest.fixture
def half_done(database: Database) -> str:
    """Three of at most four configs: two that fit, one that was ruled out without a probe."""
    spec = factories.spec()
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    for number, batch_size in product((0, 1), (1, 8, 64)):
        store.add_measurement(number, factories.measurement(batch_size), [])
    fits = {"probes": 3, "wall_s": 30.0}
    store.add_trial(
        factories.trial(0, throughput_samples_per_s=100.0, parameters=1000, batch_size=64, **fits)
    )
    store.add_trial(
        factories.trial(1, throughput_samples_per_s=90.0, parameters=9000, batch_size=8, **fits)
    )
    nothing = {"batch_size": None, "throughput_samples_per_s": None, "probes": 0, "wall_s": 0.0}
    store.add_trial(factories.trial(2, state="pruned", **nothing))
    return study.id


def test_what_is_left_is_the_pace_so_far_times_what_is_planned(database, half_done):
    found = progress(database, half_done)
    assert (found.settled, found.measured, found.planned, found.probes) == (3, 2, 4, 6)
    assert found.left_s == pytest.approx(2 * 30.0)
    assert found.is_active


def test_probes_of_a_config_that_is_not_settled_are_counted(database, half_done):
    store = SqlStudyStore(database, half_done, factories.spec())
    for batch_size in (1, 2):
        store.add_measurement(3, factories.measurement(batch_size), [])
    found = progress(database, half_done)
    assert (found.measured, found.probes) == (2, 8)
    store.add_trial(factories.trial(3, probes=2))
    assert progress(database, half_done).probes == 8
    studies.stop(database, half_done)
    assert progress(database, half_done).probes == 8


def choose(database: Database, study_id: str, number: int) -> None:
    """What the process that runs the study stores with the trials that it settles."""
    with database.write() as session:
        repository.set_incumbent(session, study_id, number)


def test_the_best_so_far_is_the_choice_of_the_search(database, half_done):
    choose(database, half_done, 1)
    best = progress(database, half_done).best
    assert best is not None
    assert (best.number, best.parameters) == (1, 9000)


def test_what_takes_longer_than_the_window_is_drawn_as_such(database, half_done):
    spec = factories.spec()
    SqlStudyStore(database, half_done, spec).add_trial(
        factories.trial(
            3, throughput_samples_per_s=99.0, parameters=99_000, violation={"time": 0.02}
        )
    )
    found = progress(database, half_done)
    assert [p.fits_window for p in found.points] == [True, True, False]


def test_of_a_study_of_an_earlier_release_the_same_rule_chooses_here(database):
    """Its process did not store the incumbent. A capable config that loses little throughput wins;
    one that was only measured on a disturbed machine does not."""
    spec = replace(factories.spec(), budget=Budget("prototyping", None, 0.0, trials=4))
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    for number, layers, step_s, taints in [(0, 1, 0.1, []), (1, 2, 0.11, []), (2, 4, 0.1, ["x"])]:
        config = {"layers": layers, "activation": "relu"}
        run = factories.measurement(
            config=config,
            parameters=layers * 1000,
            step_time=factories.step_time(step_s),
            tainted=taints,
        )
        store.add_measurement(number, run, [])
        store.add_trial(
            factories.trial(
                number,
                config=config,
                parameters=layers * 1000,
                throughput_samples_per_s=8 / step_s,
            )
        )
    assert progress(database, study.id).incumbent == 1


def test_of_a_finished_study_the_best_is_what_was_recommended(database, half_done):
    config = progress(database, half_done).configs[0]
    made = factories.recommendation(config=config, batch_size=64, study={"id": half_done})
    studies.finish(database, half_done, made)
    found = progress(database, half_done)
    assert (found.incumbent, found.left_s, found.is_active) == (0, None, False)


def test_very_many_configs_are_thinned_but_the_front_and_the_best_are_drawn(database, monkeypatch):
    monkeypatch.setattr(progress_module, "MOST_POINTS", 20)
    spec = factories.spec()
    study, _ = studies.open_study(database, spec)
    store = SqlStudyStore(database, study.id, spec)
    for number in range(70):
        store.add_trial(
            factories.trial(number, throughput_samples_per_s=1.0 + number / 1e4, parameters=10)
        )
    best = {"throughput_samples_per_s": 99.0, "parameters": 5}
    store.add_trial(factories.trial(9000, **best))
    choose(database, study.id, 33)
    found = progress(database, study.id)
    assert len(found.points) + found.undrawn == 71
    assert len(found.points) <= 20
    assert {9000, 69, 33} <= {p.number for p in found.points} == found.configs.keys()
    assert found.incumbent == 33


def test_before_the_first_config_nothing_is_said_of_the_time_left(database):
    study, _ = studies.open_study(database, factories.spec())
    found = progress(database, study.id)
    assert (found.left_s, found.best, found.points) == (None, None, [])


def test_an_outline_counts_what_was_settled_and_what_was_measured(database, half_done):
    (line,) = outline(database, view.page(database, limit=5))
    assert line.tally == (3, 2)
    assert line.planned == 4


def test_a_study_of_the_command_line_changes_with_its_trials(database, half_done):
    assert last_event(database, half_done) == (3, False)
    with pytest.raises(NotFound, match="st_none"):
        last_event(database, "st_none")
