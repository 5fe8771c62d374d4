"""The output formats of an answer: for people, programs and pipelines."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from probes.errors import InputError
from probes.formatting import size_text
from probes.group import is_group
from probes.space import unknown_name

Document = dict[str, Any]

WORDS = {
    "fits": "fits",
    "does_not_fit": "does not fit",
    "too_slow": "too slow",
    "unknown": "unknown",
    "stale": "stale",
}
NO = ("does_not_fit", "too_slow")
"""The negative answers; ``unknown`` and ``stale`` are neither."""
HELP = "https://github.com/tonnage/tonnage/blob/main/docs/check.md"
RULES = {
    "fits": "The planned run fits and is in time.",
    "does_not_fit": "The planned run would run out of memory.",
    "too_slow": "The planned run would not finish a cycle within its budget.",
    "unknown": "No stored measurement shows whether the planned run fits.",
    "stale": "The measurements are no longer valid: device, software or workload have changed.",
}
SARIF_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def render(answer: Document, form: str, *, explain: bool = False) -> str:
    """Text that ends in a line break. Raises ``InputError`` for an unknown format."""
    if form not in FORMS:
        raise InputError(unknown_name("format", form, FORMS))
    return FORMS[form](answer, explain)


def headline(answer: Document) -> str:
    """The answer and its reason in one line."""
    return f"{WORDS[answer['verdict']]}: {' '.join(answer['reason'].split())}"


def text(answer: Document, explain: bool) -> str:
    lines = [headline(answer), f"  {_planned(answer)}"]
    lines += [f"  {line}" for line in more_lines(answer, notes=False)]  # they are on stderr
    if explain:
        lines += ["", *explanation(answer)]
    return "\n".join(lines) + "\n"


def more_lines(answer: Document, *, notes: bool = True) -> list[str]:
    """What follows the headline."""
    lines = list(answer["details"])
    if answer["verdict"] in NO and answer["lever"]:
        lines.append(f"What would help: {answer['lever']}.")
    lines += [each["sentence"] for each in answer.get("heuristics", ())]
    if notes:
        lines += [f"Note: {note}" for note in answer.get("warnings", [])]
    if answer["verdict"] in ("unknown", "stale"):
        lines.append(
            "Measure it on the machine that trains: the same check with --probe full, or "
            f"{answer.get('tune') or _tune(answer)}{_group_option(answer)}"
        )
    return lines


def _tune(answer: Document) -> str:
    """For an answer of a service of an earlier release."""
    return f"tonnage tune {answer['workload']}"


def _group_option(answer: Document) -> str:
    """How a command names the devices of the plan; empty for a single one."""
    if not answer.get("ranks"):
        return ""
    device = answer["device"]
    return f" --device {device}" if is_group(device) else f" --devices {answer['ranks']}"


def explanation(answer: Document) -> list[str]:
    """The measurements and conditions that were compared."""
    room = f"{size_text(answer['cap_bytes'])} of {size_text(answer['limit_bytes'])}"
    lines = [
        "Compared:",
        f"  device       {answer['device']}, {answer['device_name']}, fingerprint "
        f"{answer['fingerprint']}",
        f"  memory       {room}, {answer['headroom']:.0%} kept free",
        f"  against      {answer['recommendation_id'] or 'no recommendation'}",
    ]
    lines += _command_lines(answer)
    lines += [f"  read         {note}" for note in answer["assumed"]]
    for run in answer["compared"]:
        lines.append(
            f"  {run['purpose']:<12} batch {run['batch_size']}: {run['verdict']}, "
            f"{size_text(run['peak_bytes']) if run['peak_bytes'] else 'peak unknown'}: "
            f"{run['counts_as']}"
        )
    if not answer["compared"]:
        lines.append("  no measurement has this config")
    return lines


def _command_lines(answer: Document) -> list[str]:
    command = answer.get("command")
    if not command:
        return []
    lines = [
        f"  command      {command['template']}",
        f"  in folder    {command['folder']}",
    ]
    if command["measured_in"] != command["folder"]:
        lines.append(f"  measured in  {command['measured_in']}")
    return lines


def as_json(answer: Document, explain: bool) -> str:
    return json.dumps(answer, indent=2, ensure_ascii=False) + "\n"


def markdown(answer: Document, explain: bool) -> str:
    """For a job summary or a comment."""
    mark = {"fits": "✅", "does_not_fit": "❌", "too_slow": "❌"}.get(answer["verdict"], "⚠️")
    rows = [
        ("Planned", _planned(answer)),
        ("Device", f"{answer['device_name']} (`{answer['fingerprint']}`)"),
        ("Memory", f"{size_text(answer['peak_bytes'])} of {size_text(answer['cap_bytes'])}"),
        ("Largest batch that fits", str(answer["largest_batch"] or "–")),
    ]
    lines = [f"### {mark} Tonnage: {_cell(headline(answer))}", "", "| | |", "|---|---|"]
    lines += [f"| {name} | {_cell(value)} |" for name, value in rows]
    lines += ["", *(f"- {_cell(line)}" for line in more_lines(answer))]
    if explain:
        lines += ["", "```", *explanation(answer), "```"]
    return "\n".join(lines) + "\n"


def github(answer: Document, explain: bool) -> str:
    """A workflow command, which GitHub shows as an annotation."""
    level = "error" if answer["verdict"] in NO else "notice"
    if answer["verdict"] in ("unknown", "stale"):
        level = "warning" if answer.get("tolerated") else "error"
    where = f"file={_property(answer['source'])}," if answer["source"] else ""
    title = _property(f"Tonnage: {WORDS[answer['verdict']]}")
    message = _data("\n".join([headline(answer), *more_lines(answer)]))
    return f"::{level} {where}title={title}::{message}\n"


def junit(answer: Document, explain: bool) -> str:
    """One test case: failed if the answer is negative, an error if it is unknown or stale."""
    from xml.etree import ElementTree

    verdict = answer["verdict"]
    failed, none = verdict in NO, verdict in ("unknown", "stale")
    tolerated = none and bool(answer.get("tolerated"))
    suite = ElementTree.Element(
        "testsuite",
        {
            "name": "tonnage check",
            "tests": "1",
            "failures": str(int(failed)),
            "errors": str(int(none and not tolerated)),
            "skipped": str(int(tolerated)),
        },
    )
    name = f"{_printable(answer['workload'])} batch {answer['batch_size']}"
    case = ElementTree.SubElement(
        suite, "testcase", classname=f"tonnage.{_printable(answer['device'])}", name=name, time="0"
    )
    body = "\n".join([headline(answer), *more_lines(answer)])
    if tolerated:
        ElementTree.SubElement(case, "skipped").text = _printable(headline(answer))
    elif failed or none:
        child = ElementTree.SubElement(
            case,
            "failure" if failed else "error",
            type=verdict,
            message=_printable(headline(answer)),
        )
        child.text = _printable(body)
    out = ElementTree.SubElement(case, "system-out")
    out.text = _printable("\n".join([body, *explanation(answer)] if explain else [body]))
    ElementTree.indent(suite)
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(suite, "unicode") + "\n"
    )


def sarif(answer: Document, explain: bool) -> str:
    """SARIF 2.1.0: one result, at the file that the plan was read from."""
    from importlib.metadata import version

    verdict = answer["verdict"]
    result: Document = {
        "ruleId": verdict,
        "ruleIndex": list(RULES).index(verdict),
        "kind": "pass" if verdict == "fits" else "fail" if verdict in NO else "open",
        "level": "error" if verdict in NO else "none",
        "message": {"text": "\n".join([headline(answer), *more_lines(answer)])},
        "properties": {"answer": answer},
    }
    if answer["source"]:
        place = {"artifactLocation": {"uri": _uri(answer["source"])}, "region": {"startLine": 1}}
        result["locations"] = [{"physicalLocation": place}]
    driver = {
        "name": "Tonnage",
        "version": version("tonnage"),
        "informationUri": HELP,
        "rules": [
            {
                "id": name,
                "shortDescription": {"text": meaning},
                "helpUri": HELP,
                "defaultConfiguration": {"level": "error" if name in NO else "note"},
            }
            for name, meaning in RULES.items()
        ],
    }
    run = {"tool": {"driver": driver}, "results": [result]}
    log = {"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


FORMS: dict[str, Callable[[Document, bool], str]] = {
    "text": text,
    "json": as_json,
    "junit": junit,
    "sarif": sarif,
    "github": github,
    "markdown": markdown,
}


def _planned(answer: Document) -> str:
    config = " ".join(f"{name}={value}" for name, value in answer["config"].items())
    batch = f"batch {answer['batch_size']}"
    if answer.get("ranks"):
        batch += f" on each of {answer['ranks']} ranks"
    if answer["accumulation"] != 1:
        batch += f" × {answer['accumulation']}"
    budget = f", budget {answer['budget']}" if answer["budget"] else ""
    what = f"{config}, {batch}" if config else batch
    return f"{answer['workload']}: {what}{budget}, on {answer['device']}"


def _cell(value: str) -> str:
    return value.replace("|", "\\|").replace("\n", " ")


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def _printable(value: str) -> str:
    """What XML 1.0 can carry."""
    return "".join(c if c in "\t\n" or "\x20" <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd"
                   or c >= "\U00010000" else "\ufffd" for c in value)  # fmt: skip


def _uri(path: str) -> str:
    from urllib.parse import quote

    return quote(path.replace("\\", "/"))
