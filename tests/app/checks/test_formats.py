"""Reports as those read them for whom they are made: by their schemas."""

from __future__ import annotations

import io
import json
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
import xmlschema

from app.checks.formats import FORMS, render
from probes.errors import InputError

SCHEMAS = Path(__file__).parent / "schemas"
VERDICTS = ("fits", "does_not_fit", "too_slow", "unknown", "stale")


def answer(verdict: str = "does_not_fit", **changes):
    return {
        "verdict": verdict,
        "reason": "batch 192 needs about 736 MiB more; the largest batch that fits is 96",
        "details": ["Batch 104: oom: a | pipe, <markup> & 100 %\x1b[0m"],
        "changes": [],
        "workload": "train.py:Net",
        "config": {"layers": 2},
        "batch_size": 192,
        "accumulation": 2,
        "budget": "prototyping",
        "device": "cuda:0",
        "device_name": "NVIDIA H200",
        "fingerprint": "577c5139c3e13263",
        "limit_bytes": 2**30,
        "headroom": 0.05,
        "cap_bytes": 10**9,
        "peak_bytes": None,
        "largest_batch": 96,
        "lever": "batch 96 with accumulation 4",
        "compared": [
            {
                "purpose": "confirm",
                "batch_size": 96,
                "verdict": "stable",
                "peak_bytes": 9 * 10**8,
                "counts_as": "passes",
            }
        ],
        "assumed": ["layers=2, as recommended"],
        "recommendation_id": "rec_1",
        "source": "configs/run 1.yaml",
        "warnings": [],
        **changes,
    }


@pytest.mark.parametrize("explain", [False, True])
@pytest.mark.parametrize("verdict", VERDICTS)
def test_sarif_is_valid(verdict, explain):
    schema = json.loads((SCHEMAS / "sarif-2.1.0.json").read_text())
    log = json.loads(render(answer(verdict), "sarif", explain=explain))
    jsonschema.validate(log, schema)
    result = log["runs"][0]["results"][0]
    assert result["ruleId"] == verdict
    assert log["runs"][0]["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == verdict
    assert result["level"] == ("error" if verdict in ("does_not_fit", "too_slow") else "none")
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place == "configs/run%201.yaml"


def test_a_plan_of_the_command_line_has_no_place():
    log = json.loads(render(answer(source=""), "sarif"))
    assert "locations" not in log["runs"][0]["results"][0]


@pytest.mark.parametrize("tolerated", [False, True])
@pytest.mark.parametrize("verdict", VERDICTS)
def test_junit_is_valid(verdict, tolerated):
    schema = xmlschema.XMLSchema(SCHEMAS / "jenkins-junit.xsd")
    text = render(answer(verdict, tolerated=tolerated), "junit", explain=True)
    schema.validate(io.StringIO(text))
    case = ElementTree.fromstring(text.encode()).find("testcase")
    assert case is not None
    expected = {"fits": None, "does_not_fit": "failure", "too_slow": "failure"}.get(
        verdict, "skipped" if tolerated else "error"
    )
    found = {name for name in ("failure", "error", "skipped") if case.find(name) is not None}
    assert found == ({expected} if expected else set())


def test_github_annotates_the_file_on_one_line():
    text = render(answer(), "github")
    assert text.startswith("::error file=configs/run 1.yaml,title=Tonnage%3A does not fit::")
    assert text.count("\n") == 1
    assert "%0A" in text and "100 %25" in text
    assert render(answer("stale", tolerated=True), "github").startswith("::warning")
    assert render(answer("fits"), "github").startswith("::notice")


def test_the_text_gives_the_reason_in_its_first_line():
    lines = render(answer(), "text").splitlines()
    assert lines[0] == "does not fit: " + answer()["reason"]
    assert "What would help: batch 96 with accumulation 4." in lines[-1]
    explained = render(answer(), "text", explain=True)
    assert "read         layers=2, as recommended" in explained
    assert "confirm      batch 96: stable" in explained


def test_markdown_is_a_table_that_nothing_breaks():
    text = render(answer(), "markdown", explain=True)
    assert text.startswith("### ❌ Tonnage: does not fit")
    assert "a \\| pipe" in text


def test_json_is_the_whole_answer():
    assert json.loads(render(answer(), "json")) == answer()


def test_an_unknown_form_names_the_known_ones():
    with pytest.raises(InputError, match="Did you mean 'junit'"):
        render(answer(), "junt")
    assert set(FORMS) == {"text", "json", "junit", "sarif", "github", "markdown"}
