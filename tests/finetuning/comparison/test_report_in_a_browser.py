"""The page as a reader has it: in a browser, from a file, without a network."""

from __future__ import annotations

import numpy as np

from finetuning.comparison.compare import compare
from finetuning.comparison.report import write
from tests.app.dashboard.browser import chromium, too_wide, violations
from tests.finetuning.comparison.made import PERPLEXITY, SCORE, rows, write_run


def shown(page, selector):
    return [each.inner_text() for each in page.query_selector_all(selector) if each.is_visible()]


def column(page, name):
    """The cells of a column of the table of tests, from top to bottom."""
    heads = [head.inner_text() for head in page.query_selector_all("table:has([data-test]) th")]
    place = heads.index(name) + 1
    return [c.inner_text() for c in page.query_selector_all(f"tr[data-test] td:nth-child({place})")]


def test_the_page_sorts_filters_and_can_be_read_by_everybody(tmp_path):
    rng = np.random.default_rng(1)
    game = rng.gamma(6, 3, 12)
    runs = [
        write_run(
            tmp_path / name,
            {
                "snake": ((SCORE,), rows("snake", {"score": game + gain}, sources=("8x8", "9x9"))),
                "language": (
                    (PERPLEXITY,),
                    rows("language", {"nll": 2 - gain / 9 + game / 99, "tokens": np.ones(12)}),
                ),
            },
        )
        for name, gain in (("base", 0.0), ("lora", rng.normal(4, 1, 12)), ("same", 0.0))
    ]
    files = write(compare(*runs, baseline="base", resamples=499), tmp_path / "report")
    problems = []
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda message: problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: problems.extend(
            [request.url] if request.url.startswith("http") else []
        ))  # fmt: skip
        page.goto(files["report.html"].as_uri())

        assert len(shown(page, ".findings li")) == 4
        page.get_by_label("Finding").select_option("better")
        assert len(shown(page, ".findings li")) == 2
        page.get_by_label("Task").select_option("language")
        assert len(shown(page, ".findings li")) == 1 == len(shown(page, "tr[data-test]"))
        page.get_by_label("Task").select_option("")
        page.get_by_label("Finding").select_option("")

        page.get_by_role("button", name="p", exact=True).click()
        first = [float(p) for p in column(page, "p")]
        assert first == sorted(first) and first[0] < first[-1]
        page.get_by_role("button", name="p", exact=True).click()
        assert [float(p) for p in column(page, "p")] == sorted(first, reverse=True)

        assert violations(page) == []
        page.get_by_role("button", name="Light or dark").click()
        assert page.evaluate("document.documentElement.dataset.theme") in ("light", "dark")
        page.set_viewport_size({"width": 390, "height": 800})
        assert too_wide(page) == []
    assert problems == []
