"""Answering from what is stored: classes, prices, limits, priors and the next probe."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.devices import service as devices
from app.errors import NotFound
from app.fleet_answers import service
from app.fleet_answers.question import FleetQuestion
from optimizer.fleet.choose import Prefer
from probes.errors import InputError
from tests.app.fleet_answers.seeded import (
    FAST,
    NEW,
    SLOW,
    add_run,
    fill,
    fingerprint,
    measured,
    settings,
    study,
)  # fmt: skip

NET = "train.py:Net"


@pytest.fixture
def ids(database):
    return fill(database)


def ask(database, prices=None, **question):
    return service.answer(database, prices or settings(), FleetQuestion(NET, **question))


def row(answer, class_id):
    return next(each for each in answer["classes"] if each["class_id"] == class_id)


def test_time_and_cost_of_the_whole_training(database, ids):
    """1,000 samples per epoch, batch 8: 36,000 samples are 4,500 steps."""
    found = ask(database, epochs=36)
    fast, slow = row(found, ids[FAST]), row(found, ids[SLOW])
    assert found["training"]["samples"] == 36_000
    assert fast["training_time_s"]["mean"] == pytest.approx(450)
    assert fast["training_time_s"]["high"] == pytest.approx(459)
    assert fast["cost"]["mean"] == pytest.approx(0.5)
    assert slow["cost"]["mean"] == pytest.approx(0.3)
    assert fast["cycle_time_s"]["mean"] == pytest.approx(45)
    assert (found["cheapest"], found["fastest"]) == (ids[SLOW], ids[FAST])
    assert found["chosen"] == ids[SLOW]
    assert found["verdict"] == "possible"
    assert slow["recommendation_id"].startswith("rec_")
    assert slow["is_recommended"]


def test_a_deadline_rules_out_the_slow_class_and_says_by_how_much(database, ids):
    found = ask(database, epochs=36, deadline_s=1000)
    assert found["chosen"] == ids[FAST]
    assert row(found, ids[SLOW])["meets"] is False
    assert row(found, ids[SLOW])["misses"]["time_s"] == pytest.approx(1836 - 1000)


def test_where_no_class_can_meet_the_limits_the_nearest_is_told(database, ids):
    found = ask(database, epochs=36, deadline_s=400, budget_money=0.4)
    assert found["verdict"] == "impossible"
    assert found["chosen"] is None
    near = found["nearest"]
    assert near["class_id"] == ids[FAST]
    assert near["misses"]["time_s"] == pytest.approx(59)
    assert near["misses"]["money"] == pytest.approx(0.11)
    assert near["needs_deadline_s"] == pytest.approx(459, abs=1)
    assert near["needs_money"] == pytest.approx(0.51)
    assert near["fits"]["epochs"] == pytest.approx(36 * 0.4 / 0.51, rel=0.01)


def test_a_smaller_model_is_taken_only_to_meet_the_deadline(database):
    study(database, FAST, measured(0.1), measured(0.2, 4), recommended=4)
    relaxed = ask(database, epochs=36)
    assert relaxed["winners"]["chosen"]["config"] == {"layers": 4}
    hurried = ask(database, epochs=36, deadline_s=500)
    assert hurried["winners"]["chosen"]["config"] == {"layers": 2}
    assert hurried["winners"]["chosen"]["is_smaller_model"]
    assert any("smaller model" in note for note in hurried["notes"])


def test_a_class_that_ran_nothing_is_not_known_and_is_probed_next(database, ids):
    found = ask(database, epochs=36)
    new = row(found, ids[NEW])
    assert new["basis"] == "unknown"
    assert new["because"]
    assert (new["cost"], new["training_time_s"], new["meets"]) == (None, None, None)
    probe = found["next_probe"]
    assert probe["class_id"] == ids[NEW]
    assert probe["seconds"] is None
    command = "tonnage max-batch train.py:Net --set layers=2 --device cuda"
    assert probe["command"] == command
    assert not found["is_settled"]


def test_a_class_that_ran_another_workload_is_a_prior_and_never_chosen(database, ids):
    for name, step_s in ((FAST, 1.0), (SLOW, 4.0), (NEW, 2.0)):
        add_run(database, name, measured(step_s, 7))
    found = ask(database, epochs=36, prefer=Prefer.CHEAPEST)
    new = row(found, ids[NEW])
    assert new["basis"] == "prior"
    assert "of other workloads" in new["source"]
    step = new["training_time_s"]
    assert step["low"] < step["mean"] < step["high"]
    assert step["mean"] == pytest.approx(900, rel=0.05)
    assert new["measurement_id"] is None
    assert found["cheapest"] == ids[SLOW]
    assert found["next_probe"]["class_id"] == ids[NEW]
    assert found["next_probe"]["money"] == pytest.approx(
        found["next_probe"]["seconds"] * 0.4 / 3600
    )


def test_a_pinned_dimension_selects_configs(database, ids):
    found = ask(database, epochs=36, pinned={"layers": 4})
    assert {r["config"]["layers"] for r in found["classes"] if r["config"]} == {4}
    with pytest.raises(InputError, match="--set depth"):
        ask(database, pinned={"depth": 4})
    with pytest.raises(InputError, match="only with 2, 4"):
        ask(database, pinned={"layers": 9})


def test_a_bracket_is_not_a_measurement_to_recommend(database):
    from probes.measurement import Purpose

    study(database, FAST, measured(0.1), replace(measured(0.01, 4), purpose=Purpose.BRACKET))
    found = ask(database, epochs=36, prefer=Prefer.FASTEST)
    assert found["winners"]["chosen"]["config"] == {"layers": 2}


def test_runs_with_software_that_was_replaced_do_not_count(database, ids):
    newer = fingerprint(FAST, torch="2.14.0")
    devices.register(database, newer, kind="cuda", name=FAST)
    found = ask(database, epochs=36)
    assert row(found, ids[FAST])["basis"] != "measured"
    assert any("different software" in note for note in found["notes"])


def test_less_memory_than_the_device_has_is_a_class_of_its_own(database, ids):
    small = replace(measured(0.1), limit_bytes=6 * 2**30)
    add_run(database, FAST, small, workload=NET)
    names = {each["name"] for each in ask(database)["classes"]}
    assert f"{FAST}, 6.00 GiB of 24.00 GiB" in names


def test_energy_that_was_measured_is_told(database):
    made = measured(0.1)
    study(database, FAST, made)
    with database.write() as session:
        from sqlalchemy import select

        from app.database.models.results import MeasurementRow

        found = session.execute(select(MeasurementRow)).scalar_one()
        energy = {"energy_j": 2400.0, "low_j": 2300.0, "high_j": 2500.0, "steps": 24}
        found.document = {**found.document, "energy": energy}
    answer = ask(database, settings(tariff_per_kwh=0.3), epochs=36)
    shown = answer["winners"]["least_energy"]
    assert shown["energy_per_cycle_j"]["mean"] == pytest.approx(45_000)
    assert shown["energy_per_1000_samples_j"]["mean"] == pytest.approx(12_500)
    assert shown["energy_basis"] == "measured"


def test_an_estimate_from_watts_is_marked(database, ids):
    from app.settings import load_settings

    prices = load_settings(
        overrides={"fleet": {"tariff_per_kwh": 0.3, "devices": {"*H200": {"watts": 700.0}}}}
    )
    found = ask(database, prices, epochs=36)
    fast, slow = row(found, ids[FAST]), row(found, ids[SLOW])
    assert fast["energy_basis"] == fast["cost_basis"] == "estimated"
    assert fast["cost"]["mean"] == pytest.approx(700 * 450 / 3.6e6 * 0.3)
    assert slow["energy_j"] is None
    assert f'fleet.devices."{SLOW}"' in slow["cost_because"]
    assert any("estimate" in note for note in found["notes"])


def test_carbon_takes_the_configured_intensity(database, ids):
    prices = {"devices": {FAST: {"watts": 700.0}}, "carbon_g_per_kwh": 400}
    from app.settings import load_settings

    configured = load_settings(overrides={"fleet": prices})
    found = row(ask(database, configured, epochs=36, with_carbon=True), ids[FAST])
    assert found["carbon_g"]["mean"] == pytest.approx(700 * 450 / 3.6e6 * 400)
    assert row(ask(database, configured, epochs=36), ids[FAST])["carbon_g"] is None
    with pytest.raises(InputError, match="carbon_g_per_kwh or country"):
        ask(database, with_carbon=True)


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({"budget": "prototypin"}, "prototyping"),
        ({"epochs": 2, "samples": 3}, "only one"),
        ({"deadline_s": 0.0}, "deadline"),
    ],
)
def test_questions_that_cannot_be_answered(database, ids, question, words):
    with pytest.raises(InputError, match=words):
        ask(database, **question)


def test_an_unknown_workload_names_the_nearest(database, ids):
    with pytest.raises(NotFound, match=r"Did you mean train.py:Net\?"):
        service.answer(database, settings(), FleetQuestion("train.py:Ned"))


def test_money_without_any_price_names_the_setting(database, ids):
    from app.settings import load_settings

    with pytest.raises(InputError, match="price_per_hour"):
        ask(database, load_settings(), budget_money=12)


def test_a_workload_that_was_confirmed_nowhere_is_unmeasured(database):
    from probes.measurement import Purpose

    study(database, FAST, replace(measured(0.1), purpose=Purpose.BRACKET))
    found = ask(database)
    assert found["verdict"] == "unmeasured"
    assert found["next_probe"] is not None


def test_a_class_on_which_the_workload_failed_is_not_probed_again(database, ids):
    from probes.measurement import Verdict

    crashed = replace(
        measured(0.1), verdict=Verdict.CRASH, reason="No kernel image.", step_time=None
    )
    add_run(database, NEW, crashed, workload=NET)
    found = ask(database, epochs=36)
    assert "No kernel image." in row(found, ids[NEW])["because"]
    assert found["next_probe"] is None or found["next_probe"]["class_id"] != ids[NEW]


def test_only_runs_with_the_options_asked_for_count(database):
    study(database, FAST, measured(0.1))
    from app.workloads import repository as workloads

    with database.write() as session:
        known = {"reference": NET, "dataset_size": 1000, "space": {}}
        workloads.save(session, source_hash="abc123", options={"data": "small"}, **known)
        workloads.save(session, source_hash="def456", options={"data": "large"}, **known)
    assert ask(database, options={"data": "small"})["verdict"] == "possible"
    large = ask(database, options={"data": "large"})
    assert large["verdict"] == "unmeasured"
    assert any("not counted" in note for note in large["notes"])
    with pytest.raises(NotFound, match="data=huge"):
        ask(database, options={"data": "huge"})
