"""Findings as text for people, and as JSON, SARIF and GitHub annotations for programs."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import quote

from knowledge.rules import RULES, Finding, Severity

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


class Format(StrEnum):
    """How findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


def write(
    findings: Sequence[Finding],
    format: Format,
    *,
    base: Path | None = None,
    version: str = "",
    pages: int | None = None,
) -> str:
    """The findings in a format, with a line break at the end.

    Args:
        findings: what was found.
        format: how to write it.
        base: paths below this folder are written relative to it.
        version: of the program, for SARIF.
        pages: how many pages were checked, for the summary of the text.
    """
    match format:
        case Format.TEXT:
            return to_text(findings, base=base, pages=pages)
        case Format.JSON:
            return to_json(findings, base=base)
        case Format.SARIF:
            return to_sarif(findings, base=base, version=version)
        case Format.GITHUB:
            return to_github(findings, base=base)


def to_text(
    findings: Sequence[Finding], *, base: Path | None = None, pages: int | None = None
) -> str:
    """``path:line: severity rule: message``, below it what to write, at the end the numbers."""
    lines: list[str] = []
    for finding in findings:
        place = f"{_path(finding, base)}:{finding.line}"
        lines.append(f"{place}: {finding.severity} {finding.rule}: {finding.message}")
        lines.append(f"    {finding.instead}")
    return "\n".join([*lines, summary(findings, pages)]) + "\n"


def summary(findings: Sequence[Finding], pages: int | None = None) -> str:
    """The numbers of findings, like ``64 pages: 2 errors, 1 warning, 0 notes (1 fixable)``."""
    counts = Counter(finding.severity for finding in findings)
    parts = [_count(counts[severity], severity.value) for severity in Severity]
    fixable = sum(finding.fixable for finding in findings)
    head = f"{_count(pages, 'page')}: " if pages is not None else ""
    tail = f" ({fixable} fixable with --fix)" if fixable else ""
    return f"{head}{', '.join(parts)}{tail}"


def to_json(findings: Sequence[Finding], *, base: Path | None = None) -> str:
    """An object with ``findings``, and ``counts`` by severity."""
    counts = Counter(finding.severity for finding in findings)
    document = {
        "findings": [as_dict(finding, base=base) for finding in findings],
        "counts": {severity.value: counts[severity] for severity in Severity},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def as_dict(finding: Finding, *, base: Path | None = None) -> dict[str, Any]:
    """A finding for JSON, with the reason of its rule."""
    return {
        "rule": finding.rule,
        "severity": finding.severity.value,
        "path": _path(finding, base),
        "line": finding.line,
        "page": finding.page,
        "message": finding.message,
        "instead": finding.instead,
        "reason": RULES[finding.rule].reason,
        "fixable": finding.fixable,
    }


def to_sarif(findings: Sequence[Finding], *, base: Path | None = None, version: str = "") -> str:
    """A SARIF 2.1.0 log with one run; all rules are described, also those that found nothing."""
    identifiers = list(RULES)
    driver: dict[str, Any] = {
        "name": "tonnage knowledge",
        "informationUri": "https://github.com/tonnage/tonnage/tree/main/docs/knowledge.md",
        "rules": [
            {
                "id": rule.id,
                "shortDescription": {"text": rule.reason},
                "defaultConfiguration": {"level": rule.severity.value},
                "properties": {"fixable": rule.fixable},
            }
            for rule in RULES.values()
        ],
    }
    if version:
        driver["version"] = version
    results = [
        {
            "ruleId": finding.rule,
            "ruleIndex": identifiers.index(finding.rule),
            "level": finding.severity.value,
            "message": {"text": f"{finding.message} {finding.instead}"},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": _uri(finding, base)},
                        "region": {"startLine": max(1, finding.line)},
                    }
                }
            ],
            "partialFingerprints": {"finding/v1": _fingerprint(finding, base)},
        }
        for finding in findings
    ]
    log = {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results, "columnKind": "utf16CodeUnits"}],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def to_github(findings: Sequence[Finding], *, base: Path | None = None) -> str:
    """Workflow commands, which GitHub shows beside the lines of a change."""
    names = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
    lines = [
        f"::{names[finding.severity]} file={_property(_path(finding, base))},"
        f"line={max(1, finding.line)},title={_property(finding.rule)}"
        f"::{_data(f'{finding.message} {finding.instead}')}"
        for finding in findings
    ]
    return "".join(f"{line}\n" for line in lines)


def _path(finding: Finding, base: Path | None) -> str:
    if finding.path is None:
        return finding.page
    path = finding.path
    if base is not None and path.is_relative_to(base):
        path = path.relative_to(base)
    return path.as_posix()


def _uri(finding: Finding, base: Path | None) -> str:
    """A relative path as it is in a URI; an absolute one with its scheme."""
    path = _path(finding, base)
    return Path(path).as_uri() if Path(path).is_absolute() else quote(path)


def _fingerprint(finding: Finding, base: Path | None) -> str:
    """The same for the same finding when lines above it were added."""
    key = "\0".join((finding.rule, _path(finding, base), finding.message))
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'' if number == 1 else 's'}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
