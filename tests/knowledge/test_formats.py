"""Findings in the four formats."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from knowledge.formats import Format, summary, write
from knowledge.rules import RULES, Finding, Severity

BASE = Path("/repository")


def finding(
    rule: str = "source-url", path: str = "/repository/wiki/A B.md", line: int = 3
) -> Finding:
    return Finding(
        rule=rule,
        severity=RULES[rule].severity,
        path=Path(path),
        line=line,
        message="The URL is malformed, 50 %: x.",
        instead="Write https://example.org.",
        fixable=RULES[rule].fixable,
        page="Heuristic:A_B",
    )


FINDINGS = [
    finding(),
    finding("backlink-missing", line=9),
    finding("html"),
    finding("index-missing"),
]


def test_text_names_file_line_rule_and_what_to_write() -> None:
    lines = write(FINDINGS, Format.TEXT, base=BASE, pages=1).split("\n")
    assert lines[0] == "wiki/A B.md:3: error source-url: The URL is malformed, 50 %: x."
    assert lines[1] == "    Write https://example.org."
    assert lines[-2] == "1 page: 2 errors, 1 warning, 1 note (2 fixable with --fix)"


def test_the_summary_counts_nothing_too() -> None:
    assert summary([]) == "0 errors, 0 warnings, 0 notes"


def test_json_has_counts_and_reasons() -> None:
    document = json.loads(write(FINDINGS, Format.JSON, base=BASE))
    assert document["counts"] == {"error": 2, "warning": 1, "note": 1}
    first = document["findings"][0]
    assert first["path"] == "wiki/A B.md" and first["line"] == 3
    assert first["reason"] == RULES["source-url"].reason
    assert document["findings"][1]["fixable"] is True


def test_sarif_has_what_the_standard_requires() -> None:
    log = json.loads(write(FINDINGS, Format.SARIF, base=BASE, version="1.2.3"))
    assert log["version"] == "2.1.0" and log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert driver["version"] == "1.2.3"
    assert [rule["id"] for rule in driver["rules"]] == list(RULES)
    for result in run["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note")
        place = result["locations"][0]["physicalLocation"]
        assert place["artifactLocation"]["uri"] == "wiki/A%20B.md"
        assert place["region"]["startLine"] >= 1
    assert run["results"][0]["level"] == Severity.ERROR


def test_sarif_gives_the_same_fingerprint_when_lines_move() -> None:
    logs = [json.loads(write([finding(line=n)], Format.SARIF)) for n in (3, 30)]
    first, second = (log["runs"][0]["results"][0]["partialFingerprints"] for log in logs)
    assert first == second


def test_an_absolute_path_is_a_uri_with_its_scheme() -> None:
    log = json.loads(write([finding(path="/elsewhere/A.md")], Format.SARIF, base=BASE))
    place = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "file:///elsewhere/A.md"


def test_github_annotations_are_escaped() -> None:
    lines = write([*FINDINGS, finding(path="/repository/a,b:c.md")], Format.GITHUB, base=BASE)
    first, *_, last, end = lines.split("\n")
    assert first.startswith(
        "::error file=wiki/A B.md,line=3,title=source-url::The URL is malformed"
    )
    assert "50 %25: x" in first
    assert "file=a%2Cb%3Ac.md" in last and end == ""
    assert lines.count("::notice ") == 1 and lines.count("::warning ") == 1


@pytest.mark.parametrize("format", list(Format))
def test_nothing_found_is_a_document_too(format: Format) -> None:
    text = write([], format)
    if format in (Format.JSON, Format.SARIF):
        assert json.loads(text)
    else:
        assert text in ("", "0 errors, 0 warnings, 0 notes\n")
