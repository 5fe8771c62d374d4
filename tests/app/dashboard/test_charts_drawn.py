"""The charts in a real browser: on the pages of the service, and in a report opened from a disk."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.dashboard.report import report
from app.dashboard.views.recommendation import view
from app.database import Database, open_database
from tests.app.dashboard.browser import chromium
from tests.app.dashboard.results import store
from tests.app.serving import serving

THEMES = ("light", "dark")

INK = """
(wanted) => Object.fromEntries([...document.querySelectorAll(".chart")].map((figure) => {
  const canvas = figure.querySelector("canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let found = 0;
  for (let i = 0; i < data.length; i += 4) {
    found += data[i + 3] > 0 && wanted.every((value, k) => Math.abs(data[i + k] - value) < 40);
  }
  return [figure.dataset.chart, found];
}))
"""
"""Pixels of about a colour, by chart."""
MEASURED = {"light": [0, 103, 165], "dark": [95, 184, 240]}
CHOSEN = {"light": [192, 74, 0], "dark": [255, 157, 77]}
PAINTED = "new Promise((done) => requestAnimationFrame(() => setTimeout(done)))"
CHARTS = {"memory", "step-time", "stability-memory", "stability-pace", "capacity"}


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def places(browser, tmp_path_factory, migrated_file: Path) -> Iterator[dict[str, str]]:
    """Addresses of a page and a report of one stored study."""
    folder = tmp_path_factory.mktemp("charts")
    (folder / "tonnage.db").write_bytes(migrated_file.read_bytes())
    database: Database = open_database(f"sqlite:///{folder / 'tonnage.db'}")
    made = store(database)
    (folder / "report.html").write_text(report(view(database, made)), encoding="utf-8")
    with serving(database) as url:
        yield {
            "page": f"{url}/recommendations/{made.id}",
            "report": (folder / "report.html").as_uri(),
        }
    database.close()


@pytest.fixture
def open_page(browser):
    """Opens an address; what the browser complains of makes the test fail at its end."""
    said: list[str] = []
    contexts = []

    def open_(address: str, *, theme: str = "light", width: int = 1280):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
        page.goto(address)
        page.wait_for_selector("figure[data-chart] canvas")
        page.evaluate(PAINTED)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert said == []


@pytest.mark.parametrize("place", ["page", "report"])
@pytest.mark.parametrize("theme", THEMES)
def test_every_chart_is_drawn_in_the_colours_of_the_theme(open_page, places, place, theme):
    page = open_page(places[place], theme=theme)
    measured, chosen = (page.evaluate(INK, colour[theme]) for colour in (MEASURED, CHOSEN))
    assert measured.keys() >= CHARTS
    assert all(measured[name] > 20 for name in CHARTS - {"step-time"}), measured
    assert all(chosen[name] > 20 for name in ("memory", "step-time", "capacity")), chosen


def test_the_theme_is_switched_without_loading_again(open_page, places):
    page = open_page(places["report"])
    before = page.evaluate(INK, CHOSEN["light"])["memory"]
    page.click("[data-theme-toggle]")
    page.evaluate(PAINTED)
    assert page.evaluate(INK, CHOSEN["light"])["memory"] < before / 2
    assert page.evaluate(INK, CHOSEN["dark"])["memory"] > 20


def test_points_are_read_by_keyboard_and_by_pointer(open_page, places):
    page = open_page(places["page"])
    plot = page.locator("figure[data-chart=memory] .chart-plot")
    plot.focus()
    plot.press("Home")
    tip = plot.locator(".chart-tip.shown")
    assert "passed a few steps" in tip.inner_text() and "batch size 8" in tip.inner_text()
    plot.press("End")
    assert "out of memory" in tip.inner_text()
    assert "batch size 99" in plot.locator("[aria-live]").inner_text()
    plot.press("Escape")
    assert tip.count() == 0
    pace = page.locator("figure[data-chart=stability-pace] .chart-plot")
    pace.hover()
    assert "step" in pace.locator(".chart-tip.shown").inner_text()
    shared = page.locator("figure[data-chart=stability-memory] .chart-tip.shown")
    assert "held after the step" in shared.inner_text()


def test_a_chart_follows_the_width_of_its_place(open_page, places):
    page = open_page(places["report"])
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function(
        "() => [...document.querySelectorAll('.chart-plot')].every((plot) =>"
        " plot.querySelector('.uplot').offsetWidth <= plot.clientWidth)"
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_on_paper_it_is_light(open_page, places):
    page = open_page(places["report"], theme="dark")
    assert page.evaluate(INK, CHOSEN["light"])["memory"] < 20
    for event, theme in (("beforeprint", "light"), ("afterprint", "dark")):
        page.evaluate(f"dispatchEvent(new Event('{event}'))")
        page.evaluate(PAINTED)
        assert page.evaluate(INK, CHOSEN[theme])["memory"] > 20


def test_an_export_is_chosen_without_a_script(open_page, places):
    page = open_page(places["report"])
    page.locator("label[for=export-toml]").click()
    assert page.locator("#export-text-toml").is_visible()
    assert not page.locator("#export-text-json").is_visible()
