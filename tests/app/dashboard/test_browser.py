"""What a person does with the dashboard, in a real browser, with a real study on the CPU.

The tests share one server and build on each other: the first makes the study that the others show.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.app.dashboard.browser import AXE, PATIENCE_S, RULES, Server, chromium

pytestmark = pytest.mark.xdist_group("device")  # it trains

PATIENCE_MS = PATIENCE_S * 1000
PAGES = (
    "/",
    "/studies",
    "/start",
    "/recommendations",
    "/compare",
    "/checks",
    "/workloads",
    "/workloads/transformer",
    "/devices",
    "/measurements/1",
    "/not-there",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("dashboard"))
    made.start()
    yield made
    made.end()


@pytest.fixture(scope="module")
def errors() -> list[str]:
    """What the browser complained of, on any page."""
    return []


@pytest.fixture
def tab(browser, server, errors):
    context = browser.new_context(base_url=server.url, viewport={"width": 1280, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
    page.on(
        "console",
        lambda said: errors.append(f"{page.url}: {said.text}") if said.type == "error" else None,
    )
    yield page
    context.close()


@pytest.fixture(scope="module")
def study_address() -> dict[str, str]:
    """Where the first test's study and recommendation are."""
    return {}


def ask(tab, layers: str) -> str:
    """Start a study from the form; its address."""
    tab.goto("/start")
    tab.select_option("#workload", "transformer")
    tab.select_option("#budget", "smoke_test")
    tab.fill("#memory", "1GiB")
    tab.locator("#memory").press("Tab")
    tab.wait_for_selector("text=device minutes")
    tab.select_option("select[name='pin.width']", label="32")
    tab.wait_for_function(
        "() => document.querySelector(\"select[name='pin.width']\").value === '32'"
        " && /of 12 configs/.test(document.querySelector('#plan').textContent)"
    )
    tab.select_option("select[name='pin.layers']", label=layers)
    tab.wait_for_selector("text=of 1 configs")
    tab.click("text=Start the study")
    tab.wait_for_url(re.compile("/studies/st_"))
    return tab.url


def test_a_study_from_the_form_to_its_export_through_a_restart(tab, server, study_address, errors):
    study_address["study"] = ask(tab, "1")
    tab.evaluate("window.stayed = true")
    tab.wait_for_selector("#log .kind:text-is('probe')")  # it moves, without being loaded again
    before = len(errors)
    server.kill()
    tab.wait_for_selector("#connection:text('Reconnecting')")
    server.start()
    del errors[before:]  # the browser says that it could not connect, which is true
    tab.wait_for_selector("text=See the recommendation")
    assert tab.evaluate("window.stayed")
    assert tab.locator("#study h1 .tag").inner_text() == "finished"
    assert tab.locator("#trials tbody tr").count() == 1
    assert "recommended" in tab.locator("#trials tbody tr").inner_text()
    assert tab.locator("#capacity canvas").count() == 1

    tab.click("text=See the recommendation")
    tab.wait_for_url(re.compile("/recommendations/rec_"))
    study_address["recommendation"] = tab.url
    assert "layers=1" in tab.locator("main").inner_text()
    tab.locator("[data-copy]:visible").first.click()
    tab.wait_for_selector("text=Copied")
    assert "batch" in tab.evaluate("navigator.clipboard.readText()").lower()


def test_another_is_cancelled(tab, study_address):
    ask(tab, "12")
    tab.wait_for_selector("#log .kind:text-is('started')")
    tab.click("button:text-is('Cancel')")
    tab.wait_for_selector("#study h1 .tag:text-is('cancelled')")
    tab.goto("/")
    assert "No study runs or waits." in tab.locator("#now").inner_text()


def test_the_theme_is_kept_by_the_next_page(tab):
    tab.goto("/")
    tab.click("[data-theme-toggle]")
    tab.goto("/devices")
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_a_phone(browser, server, study_address, theme):
    """WCAG 2.2 AA, as far as a program can tell."""
    context = browser.new_context(
        base_url=server.url, viewport={"width": 390, "height": 800}, color_scheme=theme
    )
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    found = []
    own = [*study_address.values()]
    trials = [f"{address}/trials/0" for address in own if "/studies/" in address]
    for path in (*PAGES, *own, *trials):
        page.goto(path)
        page.evaluate(AXE.read_text())
        answer = page.evaluate(f"axe.run({{runOnly: {RULES!r}}})")
        for each in answer["violations"]:
            where = [node["target"] for node in each["nodes"]][:3]
            found.append(f"{path}: {each['id']}: {each['help']}: {where}")
        wider = page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        if wider > 0:
            found.append(f"{path}: {wider} pixels wider than the screen")
    context.close()
    assert not found, "\n".join(found)


def test_no_page_complained(tab, errors, study_address):
    for path in (*PAGES[:-1], *study_address.values()):
        tab.goto(path)
    assert errors == []
