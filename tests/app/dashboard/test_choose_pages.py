"""``/choose``: the form, the answer and its plot."""

from __future__ import annotations

import pytest

from app.dashboard.charts.cost_time import cost_time_figure
from app.fleet_answers import service
from app.fleet_answers.question import FleetQuestion
from tests.app.dashboard.conftest import token_in
from tests.app.fleet_answers.seeded import FAST, NEW, SLOW, add_run, fill, measured, settings
from tests.app.one_kind import kind  # noqa: F401

NET = "train.py:Net"


@pytest.fixture
def ids(database):
    made = fill(database)
    for name, step_s in ((FAST, 1.0), (SLOW, 4.0), (NEW, 2.0)):
        add_run(database, name, measured(step_s, 7))
    return made


def answered(database, **question):
    return service.answer(database, settings(), FleetQuestion(NET, epochs=36, **question))


def test_a_form_becomes_an_answer(pages, ids):
    form = {"csrf_token": token_in(pages.get("/choose").text), "workload": NET, "amount": "36"}
    sent = pages.post("/choose", data={**form, "unit": "epochs", "deadline": "1000s"})
    assert sent.status_code == 303
    page = pages.get(sent.headers["location"]).text
    assert f"<h1>{FAST} for {NET}" in page
    assert "13 min 56 s too late" in page  # the slow class
    assert ">prior<" in page
    assert sent.headers["location"] in pages.get("/choose").text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"deadline": "soon"}, "not a deadline"),
        ({"amount": "many"}, "not a number"),
        ({"money": "5"}, "price_per_hour"),
        ({"pinned": "depth=3"}, "no measured config has it"),
        ({"workload": "train.py:Ned"}, "Did you mean"),
    ],
)
def test_a_question_that_cannot_be_answered_is_explained_above_the_form(pages, ids, fields, words):
    form = {"csrf_token": token_in(pages.get("/choose").text), "workload": NET, **fields}
    sent = pages.post("/choose", data=form)
    assert sent.status_code == 422
    assert words in sent.text


def test_the_plot_has_a_role_for_every_basis_and_the_region_within_the_limits(database, ids):
    figure = cost_time_figure(answered(database, deadline_s=1000, budget_money=0.6))
    shown = {series.role: len(series.points) for series in figure.series if series.points}
    assert shown == {"chosen": 1, "timeout": 1, "passed": 1}
    assert (figure.x.scale, figure.y.scale) == ("log", "log")
    (region,) = figure.bands
    assert region.high == [0.6, 0.6]
    assert {rule.axis for rule in figure.rules} == {"x", "y"}
    every = [point for series in figure.series for point in series.points]
    assert all(point.low <= point.x <= point.high for point in every)


def test_without_limits_there_is_no_region(database, ids):
    figure = cost_time_figure(answered(database))
    assert (figure.bands, figure.rules) == ([], [])


def test_without_prices_there_is_no_plot(database, ids):
    from app.settings import load_settings

    free = service.answer(database, load_settings(), FleetQuestion(NET, epochs=36))
    assert cost_time_figure(free).is_empty
