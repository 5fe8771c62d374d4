"""The pages of fine-tunings, as a browser asks for them."""

from __future__ import annotations

from app.dashboard.charts.differences import difference_figures
from app.dashboard.charts.fine_tuning import MOST_POINTS, loss_figure, training_figures
from app.database.models.finetuning import FineTuningEventRow
from app.finetunings import reading, service
from app.finetunings.comparison import Comparisons
from tests.app.dashboard.conftest import Elements
from tests.app.factories import SETTINGS, finetuning
from tests.app.finetunings.test_routes import evaluate
from tests.app.finetunings.test_service import FIT
from tests.app.one_kind import kind  # noqa: F401

GIB = 2**30
CARD = {
    "splits": {"train": {"rows": 800}, "eval": {"rows": 100}, "test": {"rows": 100}},
    "sources": [{"name": "bfs", "read": 1000, "rows": {"train": 800}}],
    "notes": ["Two rows were dropped."],
}


def trained(database, **changes):
    """A run that trains, with everything that its page shows."""
    run = finetuning(database, **changes)
    service.prepared(database, run.id, CARD)
    service.fitted(database, run.id, FIT)
    service.enter(database, run.id, "training")
    for step in range(10, 210, 10):
        event = {"step": step, "of": 400, "epoch": step / 100, "loss": 3 * 0.99**step + 1}
        event |= {"tokens_per_s": 5000.0 + step, "peak_bytes": 2 * GIB, "left_s": 60.0}
        if step % 50 == 0:
            event["eval_loss"] = 3 * 0.99**step + 1.2
        service.add_event(database, run.id, {**event, "step_s": 0.5})
    evaluate(database, run, changes.pop("better_by", 0.0))
    return run


def chart_names(page: str) -> list[str | None]:
    return [each["data-chart"] for each in Elements(page).all("figure")]


def test_the_list_shows_and_filters(pages, database):
    run = trained(database)
    other = finetuning(database, settings={**SETTINGS, "strategy": "full"})
    page = pages.get("/finetunings").text
    assert f"/finetunings/{run.id}" in page
    assert f"/finetunings/{other.id}" in page
    assert f"/finetunings/{run.id}" not in pages.get("/finetunings?strategy=full").text
    assert pages.get("/finetunings?state=done").text.count("/finetunings/ftn_") == 0


def test_one_that_trains_shows_its_curves_and_listens_for_more(pages, database):
    run = trained(database)
    page = pages.get(f"/finetunings/{run.id}").text
    assert chart_names(page) == ["loss", "throughput", "peak"]
    assert FIT["sentences"][0] in page
    assert "Two rows were dropped." in page
    (live,) = [each for each in Elements(page).all("div") if each.get("id") == "finetuning"]
    changes = reading.get(database, run.id).changes
    assert live["data-events"] == f"/finetunings/{run.id}/changes?after={changes}"
    assert chart_names(pages.get(f"/finetunings/{run.id}/live").text) == chart_names(page)


def test_one_that_has_ended_shows_the_error_of_its_prediction(pages, database):
    run = trained(database)
    service.finish(database, run.id, "done", {"peak_bytes": 2 * GIB, "step_s": 0.5})
    page = pages.get(f"/finetunings/{run.id}").text
    assert "data-events" not in page
    assert "error 50%" in page
    answer = pages.get(f"/finetunings/{run.id}/changes")
    assert "event: over" in answer.text


def test_one_of_a_terminal_is_continued_there_unless_its_settings_were_refused(pages, database):
    run = finetuning(database)
    for refused in (True, False):
        service.finish(database, run.id, "failed", {"refused": refused}, "It failed.")
        page = pages.get(f"/finetunings/{run.id}").text
        assert ("tonnage finetune resume" in page) is not refused


def test_one_that_has_only_begun_has_a_page(pages, database):
    run = finetuning(database)
    assert chart_names(pages.get(f"/finetunings/{run.id}").text) == []
    assert pages.get("/finetunings/ftn_none").status_code == 404


def test_a_comparison_has_its_sentences_and_a_forest_plot(pages, database):
    one = trained(database)
    two = finetuning(database, output="/runs/b")
    evaluate(database, two, 2.0)
    comparisons = Comparisons()
    found = comparisons.compare(database, [one.id, two.id])  # imports what takes long
    page = pages.get(f"/finetunings/compare?run={one.id}&run={two.id}").text
    assert chart_names(page) == ["difference-snake-score"]
    assert "no item" not in page
    (figure,) = difference_figures(found)
    ((point,),) = [series.points for series in figure.series]
    assert point.x == 2.0
    assert comparisons.compare(database, [one.id, two.id]) is found


def test_what_cannot_be_compared_is_said_on_the_page(pages, database):
    run = finetuning(database)
    page = pages.get(f"/finetunings/compare?run={run.id}")
    assert page.status_code == 200
    assert "--baseline" in page.text


def test_a_limit_far_above_the_peak_is_listed_and_not_drawn(database):
    run = trained(database)
    run = reading.get(database, run.id)
    run.limit_bytes = 100 * GIB
    figures = training_figures(run, reading.events(database, run.id))
    peak = figures[-1]
    assert [rule.name for rule in peak.rules] == ["predicted peak"]
    assert [rule.at for rule in peak.also] == [100.0]


def test_a_long_run_is_drawn_with_chosen_points_and_its_last():
    events = [FineTuningEventRow(step=n, loss=1.0, eval_loss=None) for n in range(1, 5002)]
    (points, _) = [series.points for series in loss_figure(events).series]
    assert len(points) <= MOST_POINTS + 1
    assert points[-1].x == 5001
