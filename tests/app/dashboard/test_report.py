"""The report is one file: nothing of it is anywhere else, and nothing in it runs but our own."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from app.dashboard import report as reports
from app.dashboard.filters import percent
from app.dashboard.report import report
from app.dashboard.views.recommendation import build
from app.validity.comparison import Validity, absent
from optimizer.records import Recommendation
from tests.app.dashboard.results import confirmed, document, windowed

EVIL = "</script><script>alert('x')</script><img src=x onerror=alert(1)>"


class Parsed(HTMLParser):
    """The elements of a page as a browser finds them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {"script": [], "style": []}
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag in self.inside:
            self.inside[tag].append("")

    def handle_endtag(self, tag):
        self._open = ""

    def handle_data(self, data):
        if self._open in self.inside:
            self.inside[self._open][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def written(made: Recommendation | None = None, standing: Validity | None = None) -> str:
    return report(build(made or document(), [], [], standing or Validity(), "NVIDIA H200"))


def test_it_refers_to_nothing_outside():
    page = Parsed(written())
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "srcset"):
            value = attributes.get(name)
            assert value is None or value == "data:," or value.startswith("#"), (tag, attributes)
    assert not re.findall(r"@import|url\((?!data:)", "".join(page.inside["style"]))


def test_its_policy_names_exactly_what_is_inside():
    page = Parsed(written())
    policy = next(m["content"] for m in page.named("meta") if m.get("http-equiv"))
    assert "default-src 'none'" in policy and "unsafe" not in policy
    scripts = [
        text
        for text, attributes in zip(page.inside["script"], page.named("script"), strict=True)
        if attributes.get("type") != "application/json"
    ]
    for text in (*scripts, *page.inside["style"]):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    assert policy.count("sha256-") == len(scripts) + len(page.inside["style"])


def test_nothing_in_the_data_becomes_part_of_the_page():
    evil = {"text": EVIL}
    made = document(
        workload=EVIL,
        config=evil,
        explanation=[EVIL, EVIL],
        evidence={"highest_passing": confirmed(96, evil, reason=EVIL, tainted=[EVIL]).to_dict()},
        ruled_out=[{"config": evil, "state": "failed", "reason": EVIL}],
    )
    page, plain = Parsed(written(made, absent(EVIL))), Parsed(written())
    assert page.named("img") == []
    assert len(page.named("script")) <= len(plain.named("script"))
    assert not any(name.startswith("on") for _, found in page.elements for name in found)
    data = [
        json.loads(text)
        for text, attributes in zip(page.inside["script"], page.named("script"), strict=True)
        if attributes.get("type") == "application/json"
    ]
    assert any(EVIL in note for each in data for s in each["series"] for note in s.get("note", []))


def test_it_says_what_to_run_and_whether_it_holds():
    text = written(standing=absent("The source of train.py:Net has changed since."))
    assert "Train layers=4 with batch 96: 72 samples/s." in text
    assert ">stale<" in text and "has changed since" in text
    assert "/compare?" not in text and "/studies/" not in text


def test_it_shows_the_most_capable_model_and_the_shares():
    text = written(windowed())
    assert f"{percent(0.02)} of the time window" in text
    assert "Most capable model that fits the window" in text and "99,000" in text
    assert "/compare?" not in text


def test_an_asset_that_would_end_its_element_is_not_written(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reports, "text_of", lambda name: "x </script> </style>")
    with pytest.raises(AssertionError, match=r"dashboard\.css"):
        written()
