"""The pages of recommendations and comparisons, as they leave the server."""

from __future__ import annotations

import html
import json
import re

import pytest

from app.dashboard.filters import percent
from app.recommendations.exports.export import FORMATS, export
from app.workloads import repository as workloads
from tests.app import contents
from tests.app.dashboard.conftest import Elements
from tests.app.dashboard.results import MOST_CAPABLE, store
from tests.app.one_kind import kind  # noqa: F401

EVIL = "</script><script>alert(1)</script>"


@pytest.fixture
def stored(database):
    return store(database)


def data_of(page: str, chart: str) -> dict:
    found = re.search(
        rf'data-chart="{chart}".*?<script type="application/json">(.*?)</script>', page, re.DOTALL
    )
    assert found, chart
    return json.loads(found[1])


class TestRecommendation:
    def test_it_says_what_to_run_what_binds_and_whether_it_holds(self, pages, stored):
        text = pages.get(f"/recommendations/{stored.id}").text
        assert "Train layers=4 with batch 96: 72 samples/s." in text
        assert "<strong>memory</strong>" in text
        assert ">valid<" in text

    def test_the_most_capable_model_stands_beside_it_with_what_it_uses(self, pages, database):
        made = store(
            database, share_of_window=0.02, share_of_memory=0.41, most_capable=MOST_CAPABLE
        )
        text = html.unescape(pages.get(f"/recommendations/{made.id}").text)
        assert f"{percent(0.02)} of the time window" in text
        card = re.search(r'aria-label="Most capable model">(.*?)</section>', text, re.DOTALL)[1]
        for fact in (
            "batch 64",
            "99,000",
            f"{percent(0.96)} of the time window",
            "80 × the parameters",
        ):
            assert fact in card, fact
        assert f"/compare?a={made.id}&b=m" in card

    def test_one_of_an_earlier_release_has_no_such_card(self, pages, stored):
        assert (
            'aria-label="Most capable model"' not in pages.get(f"/recommendations/{stored.id}").text
        )

    def test_the_charts_carry_what_was_measured(self, pages, stored):
        text = pages.get(f"/recommendations/{stored.id}").text
        memory = data_of(text, "memory")
        assert {s["role"]: s["x"] for s in memory["series"] if not s["line"]} == {
            "passed": [8],
            "oom": [99],
            "chosen": [96],
        }
        assert len(data_of(text, "stability-pace")["series"][0]["x"]) == 28
        assert data_of(text, "prediction-peak-bytes")["series"][1]["x"] != []

    def test_every_export_is_there_to_be_copied(self, pages, stored):
        text = pages.get(f"/recommendations/{stored.id}").text
        for name in FORMATS:
            shown = re.search(rf'<pre id="export-text-{name}"[^>]*>(.*?)</pre>', text, re.DOTALL)
            assert html.unescape(shown[1]).strip() == export(stored, name).text.strip()
            assert f'data-copy="export-text-{name}"' in text

    def test_what_an_export_cannot_express_stands_below_it(self, pages, database):
        made = store(database, config={"compile": True})
        text = html.unescape(pages.get(f"/recommendations/{made.id}").text)
        panels = dict(
            re.findall(r'<input [^>]*id="export-([\w-]+)"(.*?)\n  </div>', text, re.DOTALL)
        )
        assert list(panels) == list(FORMATS)
        for name, panel in panels.items():
            said = re.findall("<li>(.*?)</li>", panel)
            assert said == export(made, name).unsaid
        assert "engine.compile()" in panels["deepspeed"]

    def test_a_format_that_cannot_carry_it_says_why(self, pages, database):
        made = store(database, config={"text": "two\nlines"})
        panel = pages.get(f"/recommendations/{made.id}").text.partition('id="export-env"')[2]
        assert "<pre" not in panel.partition("<input")[0]
        assert "one line per variable" in panel.partition("<input")[0]

    def test_a_changed_workload_makes_it_stale_with_the_command_to_go_on(
        self, pages, database, stored
    ):
        with database.write() as session:
            workloads.save(
                session, reference="train.py:Net", source_hash="new", dataset_size=None, space={}
            )
        text = pages.get(f"/recommendations/{stored.id}").text
        assert ">stale<" in text and "of train.py:Net have changed" in text
        assert "tonnage tune train.py:Net --budget smoke_test --device cpu" in text
        assert ">stale<" in pages.get("/recommendations").text

    def test_nothing_stored_becomes_part_of_the_page(self, pages, database):
        made = store(database, workload=EVIL, explanation=[EVIL, EVIL], config={"text": EVIL})
        text = pages.get(f"/recommendations/{made.id}").text
        assert "alert(1)" in text
        assert "<script>alert(1)" not in text
        scripts = Elements(text).all("script")
        assert all(s.get("src") or s.get("type") == "application/json" for s in scripts)

    def test_an_unknown_one_is_a_page_that_says_so(self, pages):
        answer = pages.get("/recommendations/rec_none")
        assert answer.status_code == 404
        assert "There is no recommendation rec_none." in answer.text


class TestList:
    def test_it_shows_what_studies_ended_in(self, pages, stored):
        text = pages.get("/recommendations").text
        assert f'href="/recommendations/{stored.id}"' in text
        assert "layers=4 activation=relu" in text

    @pytest.mark.parametrize(
        ("query", "found"),
        [
            ({"workload": "train.py:Net", "budget": "", "device": ""}, True),
            ({"budget": "production"}, False),
            ({"device": "cuda:0"}, False),
        ],
    )
    def test_it_is_filtered_by_a_form_whose_empty_fields_mean_all(
        self, pages, stored, query, found
    ):
        text = pages.get("/recommendations", params=query).text
        assert (stored.id in text) is found
        assert ('class="empty"' in text) is not found


class TestCompare:
    def test_a_recommendation_against_an_alternative(self, pages, database, stored):
        runs = contents.measurements(database)
        other = next(each.id for each in runs if each.batch_size == 64)
        text = pages.get("/compare", params={"a": stored.id, "b": f"m{other}"}).text
        assert "B is significantly slower: −33% throughput" in text
        assert "MOVER" in text
        assert data_of(text, "intervals-throughput")["y"]["categories"] == ["B", "A"]
        assert text.count(" selected>") == 2

    def test_two_recommendations_of_two_workloads(self, pages, database, stored):
        other = store(database, workload="other.py:Net")
        text = pages.get("/compare", params={"a": stored.id, "b": other.id}).text
        assert "No significant difference in throughput" in text

    def test_one_side_alone_asks_for_the_other(self, pages, stored):
        text = pages.get("/compare", params={"a": stored.id}).text
        assert '<option value="">' in text
        assert "sides-table" not in text

    def test_an_unknown_side_is_named(self, pages, stored):
        text = pages.get("/compare", params={"a": stored.id, "b": "m999"}).text
        assert "There is no measurement 999." in text

    def test_a_reference_that_is_none_is_refused(self, pages):
        assert pages.get("/compare", params={"a": "../etc"}).status_code == 422

    def test_nothing_stored_says_what_to_do(self, pages):
        assert 'class="empty"' in pages.get("/compare").text
