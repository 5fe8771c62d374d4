"""What a person does with the dashboard, in a real browser, with a real study on the CPU.

The tests share one server. ``test_every_page`` looks at all the other pages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.app.dashboard.browser import PATIENCE_S, Server, chromium

PATIENCE_MS = PATIENCE_S * 1000


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def server(browser, warm, tmp_path_factory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("dashboard"), warm.folder)
    made.start()
    yield made
    made.end()


@pytest.fixture
def errors() -> list[str]:
    """What the browser complained of: a test that leaves some fails."""
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
    assert errors == []


def ask(tab, layers: str) -> str:
    """Start a study from the form; its address."""
    tab.goto("/start")
    tab.select_option("#workload", "transformer")
    tab.select_option("#budget", "smoke_test")
    tab.fill("#memory", "1GiB")
    tab.locator("#memory").press("Tab")
    tab.wait_for_selector("text=device minute")
    tab.select_option("select[name='pin.width']", label="32")
    tab.wait_for_function(
        "() => document.querySelector(\"select[name='pin.width']\").value === '32'"
        " && /of 12 configs/.test(document.querySelector('#plan').textContent)"
    )
    tab.select_option("select[name='pin.layers']", label=layers)
    tab.wait_for_selector("text=one config to measure")
    tab.click("text=Start the study")
    tab.wait_for_url(re.compile("/studies/st_"))
    return tab.url


def test_a_study_from_the_form_to_its_export_through_a_restart(tab, server, errors):
    ask(tab, "1")
    tab.evaluate("window.stayed = true")
    tab.wait_for_selector("#log .kind:text-is('probe')")  # it moves, without being loaded again
    server.kill()
    tab.wait_for_selector("#connection:text('Reconnecting')")
    server.start()
    tab.wait_for_selector("#study a.primary")
    # The connection did break, and the browser reports it late.
    errors[:] = [error for error in errors if "Failed to load resource: net::" not in error]
    assert tab.evaluate("window.stayed")
    assert tab.locator("#study h1 .tag").inner_text() == "finished"
    assert tab.locator("#trials tbody tr").count() == 1
    assert "recommended" in tab.locator("#trials tbody tr").inner_text()
    assert tab.locator("#capacity canvas").count() == 1

    tab.click("#study a.primary")
    tab.wait_for_url(re.compile("/recommendations/rec_"))
    assert "layers=1" in tab.locator("main").inner_text()
    tab.locator("[data-copy]:visible").first.click()
    tab.wait_for_selector("text=Copied")
    assert "batch" in tab.evaluate("navigator.clipboard.readText()").lower()


def test_another_is_cancelled(tab):
    ask(tab, "12")
    tab.wait_for_selector("#log .kind:text-is('started')")
    tab.click("button:text-is('Cancel')")
    tab.wait_for_selector("#study h1 .tag:text-is('cancelled')")
    tab.goto("/")
    assert tab.locator("#now table").count() == 0


def test_the_theme_is_kept_by_the_next_page(tab):
    tab.goto("/")
    tab.click("[data-theme-toggle]")
    tab.goto("/devices")
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
