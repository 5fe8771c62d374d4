"""Pages about knowledge: reading and searching, claims beside measurements, and the button."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.ablations import service as ablations
from app.dashboard.filters import linked
from app.http.runtime import Service
from app.knowledge import service as knowledge
from app.settings import load_settings
from tests.app.dashboard.browser import chromium
from tests.app.dashboard.conftest import HTML, Elements, log_in, token_in
from tests.app.factories import evidence
from tests.app.serving import running
from tests.knowledge import pages as samples

pytestmark = pytest.mark.xdist_group("browser")

HEURISTIC = "Heuristic:Gradient_Checkpointing"
WORKFLOW = "Workflow:QLoRA_Finetuning"
FILL = """() => {
  const node = document.querySelector("#drawing svg .node rect");
  return node && getComputedStyle(node).fill;
}"""
"""The colour of the nodes of a diagram."""
HOSTILE = '<script>alert(1)</script><img src=x onerror="alert(2)">'


@pytest.fixture
def wiki(tmp_path: Path) -> Path:
    return samples.write(tmp_path / "wiki")


@pytest.fixture
def made(database, wiki: Path) -> Service:
    settings = load_settings(environ={}, overrides={"knowledge": {"paths": [str(wiki)]}})
    return Service(database, settings, needs_keys=False)


@pytest.fixture
def pages(made: Service) -> Iterator[httpx.Client]:
    with (
        running(made) as url,
        httpx.Client(base_url=url, headers=HTML, verify=False, timeout=60) as client,
    ):
        yield client


def test_pages_are_listed_and_found_by_words_and_type(pages):
    everything = pages.get("/knowledge").text
    assert f'href="/knowledge/pages/{HEURISTIC}"' in everything
    assert "your page" in everything
    found = pages.get("/knowledge", params={"q": "recomputing frees", "type": "heuristic"}).text
    assert HEURISTIC in found and WORKFLOW not in found
    assert "No page matches" in pages.get("/knowledge?q=xyzzyx").text


def test_a_file_that_is_not_read_is_named_with_the_reason(pages, wiki: Path):
    (wiki / "heuristics" / "Wide.md").write_bytes("== Overview ==".encode("utf-16"))
    assert "UTF-16" in pages.get("/knowledge").text


def test_a_claim_stands_beside_what_was_measured(pages, database):
    assert "not measured here" in pages.get(f"/knowledge/pages/{HEURISTIC}").text
    knowledge.record(database, evidence())
    shown = pages.get("/knowledge/pages/Gradient_Checkpointing").text
    assert "50-60 % less activation memory" in shown
    assert "41 % (38–44 %) less" in shown and "refuted" in shown
    table = pages.get("/knowledge/claims").text
    assert "41 % (38–44 %) less" in table
    assert "41 % (38–44 %) less" not in pages.get("/knowledge/claims?fingerprint=eeee").text


def test_the_button_starts_the_ablation_as_a_job_that_can_be_cancelled(pages, database):
    address = f"/knowledge/pages/{HEURISTIC}"
    form = {"csrf_token": token_in(pages.get(address).text), "workload": "", "device": "cpu"}
    answer = pages.post(f"{address}/measure", data=form)
    (job,) = ablations.page(database, limit=9)
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        f"/knowledge/ablations/{job.id}",
    )
    assert (job.ablation.page, job.device, job.state) == (HEURISTIC, "cpu", "queued")
    shown = pages.get(answer.headers["location"]).text
    assert "No runner is running" in shown
    assert job.id in pages.get(address).text
    token = {"csrf_token": token_in(shown)}
    assert pages.post(f"/knowledge/ablations/{job.id}/cancel", data=token).status_code == 303
    assert "cancelled" in pages.get(f"/knowledge/ablations/{job.id}/live").text


def test_what_cannot_be_measured_is_said_on_the_page(pages):
    address = f"/knowledge/pages/{HEURISTIC}"
    form = {"csrf_token": token_in(pages.get(address).text), "workload": "evil.py:W"}
    answer = pages.post(f"{address}/measure", data=form)
    assert answer.status_code == 422
    assert "evil.py:W" in answer.text


def test_a_form_of_another_site_and_a_key_that_only_reads_start_nothing(pages, database, locked):
    address = f"/knowledge/pages/{HEURISTIC}/measure"
    assert pages.post(address, data={"csrf_token": "x" * 40}).status_code == 403
    log_in(locked, database, "read")
    page = locked.get("/knowledge/pages/Huggingface_peft_Gradient_Checkpointing").text
    assert "Measure here" not in page
    refused = locked.post(address, data={"csrf_token": token_in(page)})
    assert refused.status_code == 403
    assert ablations.page(database, limit=9) == []


def test_unknown_pages_diagrams_and_ablations_are_not_found(pages):
    for path in (
        "/knowledge/pages/No_Such_Page",
        "/knowledge/pages/No_Such_Page/neighbourhood",
        f"/knowledge/pages/{HEURISTIC}/diagram",
        f"/knowledge/pages/{WORKFLOW}/diagram?number=7",
        "/knowledge/ablations/abl_none",
        "/knowledge/ablations/st_none",
    ):
        assert pages.get(path).status_code == 404, path


def test_a_diagram_is_in_a_sandboxed_frame_with_a_policy_of_its_own(pages):
    answer = pages.get(f"/knowledge/pages/{WORKFLOW}")
    frames = Elements(answer.text).all("iframe")
    assert [frame["src"] for frame in frames] == [
        f"/knowledge/pages/{WORKFLOW}/diagram?number=0",
        f"/knowledge/pages/{WORKFLOW}/neighbourhood",
    ]
    assert {frame["sandbox"] for frame in frames} == {"allow-scripts"}
    assert all(frame["title"] for frame in frames)
    policy = answer.headers["content-security-policy"]
    assert "frame-src 'self'" in policy and "unsafe" not in policy
    for frame in frames:
        inside = pages.get(frame["src"])
        policy = inside.headers["content-security-policy"]
        assert policy.startswith("sandbox allow-scripts; default-src 'none'; script-src 'self';")
        assert inside.headers["x-frame-options"] == "SAMEORIGIN"
        assert "graph" in inside.text
    assert "frame-src" not in pages.get("/knowledge").headers["content-security-policy"]


def test_the_neighbourhood_is_a_list_too(pages):
    shown = pages.get(f"/knowledge/pages/{HEURISTIC}").text
    around = shown[shown.index("The same as a list") :]
    for name in ("Implementation:Trainer_Train", "Principle:Adapter_Training", WORKFLOW):
        assert f'href="/knowledge/pages/{name}"' in around


def test_what_a_page_holds_is_text(pages, wiki: Path):
    for file in ("heuristics/Gradient_Checkpointing.md", "workflows/QLoRA_Finetuning.md"):
        text = (wiki / file).read_text()
        title, _, rest = text.partition("== Overview ==\n")
        text = f"{title}== Overview ==\n{HOSTILE} {rest}"
        text = text.replace("graph TD", f'graph TD\n    X["{HOSTILE}"]')
        (wiki / file).write_text(text.replace("less activation memory", HOSTILE))
    for path in (
        "/knowledge",
        "/knowledge/claims",
        f"/knowledge/pages/{HEURISTIC}",
        f"/knowledge/pages/{WORKFLOW}",
        f"/knowledge/pages/{WORKFLOW}/diagram",
        f"/knowledge/pages/{HEURISTIC}/neighbourhood",
    ):
        text = pages.get(path).text
        assert "<script>alert" not in text and "<img src=x" not in text, path


def test_names_of_pages_in_advice_are_links_and_all_else_is_text():
    said = linked(f"{HEURISTIC} was refuted here: <b>41 %</b>; see also Nothing:Like_It.")
    assert said.count("<a ") == 1
    assert f'<a href="/knowledge/pages/{HEURISTIC}">{HEURISTIC}</a> was' in said
    assert "&lt;b&gt;" in said


def test_diagrams_are_drawn_in_the_theme_of_the_page(made: Service):
    """In a real browser, with what a page may hold: no script of it runs, and nothing complains."""
    said: list[str] = []
    with running(made) as url, chromium() as browser:
        page = browser.new_page()
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"{url}/knowledge/pages/{WORKFLOW}")
        page.locator("iframe.diagram").first.scroll_into_view_if_needed()
        frame = page.locator("iframe.diagram").first.element_handle().content_frame()
        frame.wait_for_selector("#drawing svg .node rect")
        words = frame.text_content("#drawing svg")
        assert re.search("Data Formatting|Adapter Training", words), words
        before = frame.evaluate(FILL)
        page.wait_for_function(
            "Number.parseFloat(document.querySelector('iframe.diagram').style.height) > 100"
        )
        page.locator("[data-theme-toggle]").click()
        frame.wait_for_function(f"before => ({FILL})() && ({FILL})() !== before", arg=before)
    assert said == []
