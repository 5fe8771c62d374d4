"""Environments: requirements that a program can check against a machine."""

from __future__ import annotations

import re
from collections.abc import Iterator

from knowledge.content import Content
from knowledge.environments import RequirementKind, requirements
from knowledge.markup import RegionKind
from knowledge.model import PageType
from knowledge.rules.model import Rule, RuleProblem, Severity, View
from knowledge.rules.safety import finds_credential
from knowledge.wording import plain

ROWS = ("OS", "Hardware", "Disk")
SHELLS = ("bash", "sh", "shell", "console")


def _rows(content: Content, view: View) -> Iterator[RuleProblem]:
    section = content.section("System Requirements", 2)
    if content.page.type is not PageType.ENVIRONMENT or section is None:
        return
    rows = [row for table in content.tables(section) for row in table.body]
    categories = {plain(row.cells[0]).lower() for row in rows}
    for name in ROWS:
        if name.lower() not in categories:
            yield RuleProblem(
                section.line,
                f"System Requirements has no row {name}.",
                f"Add the row {name} to its table.",
            )
    for row in rows:
        if len(row.cells) > 1 and not row.cells[1]:
            yield RuleProblem(
                row.line, f"The row {plain(row.cells[0])} states nothing.", "Fill its second cell."
            )


def _constraint(content: Content, view: View) -> Iterator[RuleProblem]:
    if content.page.type is not PageType.ENVIRONMENT:
        return
    for requirement in requirements(content.page):
        if requirement.kind is RequirementKind.PACKAGE and not requirement.choices:
            yield RuleProblem(
                requirement.line,
                f"{requirement.text[:80]!r} is not a requirement of PEP 508 with versions of "
                "PEP 440.",
                "Write * `torch>=2.6`, with a remark behind a dash.",
            )


def _unclear(content: Content, view: View) -> Iterator[RuleProblem]:
    kinds = (RequirementKind.OS, RequirementKind.DEVICE, RequirementKind.DISK)
    instead = {
        RequirementKind.OS: "Name Linux, macOS, Windows or any.",
        RequirementKind.DEVICE: "Name NVIDIA, AMD, Apple, Intel GPU, CPU or any.",
        RequirementKind.DISK: "Give a size like 20 GB.",
    }
    if content.page.type is not PageType.ENVIRONMENT:
        return
    for requirement in requirements(content.page):
        if requirement.kind in kinds and not requirement.choices:
            yield RuleProblem(
                requirement.line,
                f"{requirement.text[:80]!r} cannot be compared with a machine.",
                instead[requirement.kind],
            )


def _install(content: Content, view: View) -> Iterator[RuleProblem]:
    section = content.section("Quick Install", 2)
    if content.page.type is not PageType.ENVIRONMENT or section is None:
        return
    blocks = content.in_section(section, {RegionKind.FENCE, RegionKind.TAG})
    shells = [
        block
        for block in blocks
        if block.label.lower() in SHELLS
        or (block.kind is RegionKind.TAG and _language(content, block.start) in SHELLS)
    ]
    if len(shells) != 1 or len(blocks) != 1:
        yield RuleProblem(
            section.line,
            f"Quick Install has {len(shells)} blocks of bash and {len(blocks)} blocks in all.",
            "Write one block of code with the language bash.",
        )
    elif not shells[0].inner(content.text).strip():
        yield RuleProblem(
            section.line, "The block of Quick Install is empty.", "Write the commands."
        )


def _language(content: Content, start: int) -> str:
    match = re.match(r"<\w+[^>\n]{0,200}?lang=[\"']?(\w+)", content.text[start : start + 300])
    return match[1].lower() if match else ""


def _credential_name(content: Content, view: View) -> Iterator[RuleProblem]:
    if content.page.type is not PageType.ENVIRONMENT:
        return
    for requirement in requirements(content.page):
        if requirement.kind is not RequirementKind.CREDENTIAL or requirement.choices:
            continue
        if finds_credential(content.page.text.split("\n")[requirement.line - 1]):
            continue  # rule credential-value, which must not print it
        yield RuleProblem(
            requirement.line,
            "The bullet names no environment variable.",
            "Write * `HF_TOKEN` and what it is for, or None.",
        )


RULES = (
    Rule(
        "system-rows",
        Severity.ERROR,
        "System, hardware and disk decide whether anything can be installed at all.",
        on_page=_rows,
    ),
    Rule(
        "package-constraint",
        Severity.ERROR,
        "A constraint that pip cannot read is checked by nobody.",
        on_page=_constraint,
    ),
    Rule(
        "requirement-unclear",
        Severity.NOTE,
        "A requirement in free words is always answered with unknown.",
        on_page=_unclear,
    ),
    Rule(
        "quick-install",
        Severity.ERROR,
        "One block can be copied; of several nobody knows which one.",
        on_page=_install,
    ),
    Rule(
        "credential-name",
        Severity.ERROR,
        "Only the name of a variable can be checked for being set.",
        on_page=_credential_name,
    ),
)
