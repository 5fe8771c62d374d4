"""Reading what an environment page requires.

- System Requirements: a table whose rows are named OS, Hardware, Disk and, if wanted, Python,
  VRAM and RAM.
- Python Packages: a bullet for each requirement in the form of PEP 508, like ``* `torch>=2.6` ``.
  ``A or B`` is met by either, ``A + B`` by both; ``(optional)`` marks what is not needed.
- System Packages: a bullet for each program.
- Credentials: names of environment variables in backticks or asterisks.
"""

from __future__ import annotations

import re

from packaging.requirements import Requirement as PackageRequirement
from packaging.utils import canonicalize_name

from knowledge.environments.model import Requirement, RequirementKind
from knowledge.environments.versions import package_of, specifier_of
from knowledge.hardware import (
    ACCELERATORS,
    device_kinds,
    device_memory_bytes,
    operating_systems,
    size_bytes,
)
from knowledge.markup import without_comments
from knowledge.model import Page
from knowledge.tables import find_tables
from knowledge.wording import plain


def requirements(page: Page) -> tuple[Requirement, ...]:
    """What an environment page requires, in the order of the page; of other pages nothing."""
    found: list[Requirement] = []
    for section in page.sections:
        first_line, text = section.line, without_comments(section.text)
        match section.title.lower():
            case "system requirements":
                found.extend(_system(text, first_line))
            case "system packages":
                found.extend(_bullets(text, first_line, RequirementKind.PROGRAM))
            case "python packages":
                found.extend(_bullets(text, first_line, RequirementKind.PACKAGE))
            case "credentials":
                found.extend(_bullets(text, first_line, RequirementKind.CREDENTIAL))
    return tuple(found)


_BULLET = re.compile(r"^\s*\*+\s*(?P<text>\S.*)$")
_OPTIONAL = re.compile(r"\b(optional|recommended)\b", re.IGNORECASE)
_NOTHING = re.compile(r"(none|n/a|nothing)\b", re.IGNORECASE)
_CODE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|'''([^']+)'''")
_VARIABLE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\b[A-Z][A-Z0-9]{3,}\b")
_SPECIFIER = re.compile(r"(?:[<>=!~]=?=?\s*[\w.*+!]+)(?:\s*,\s*[<>=!~]=?=?\s*[\w.*+!]+)*")
_PLAIN_VERSION = re.compile(r"\b(\d+\.\d+(?:\.\d+)?)(\+|\s+or\s+(?:newer|later|higher))?")


def _system(text: str, first_line: int) -> list[Requirement]:
    found: list[Requirement] = []
    for table in find_tables(text, first_line):
        for row in table.body:
            if len(row.cells) < 2:
                continue
            category, value = plain(row.cells[0]).lower(), plain(row.cells[1])
            notes = plain(row.cells[2]) if len(row.cells) > 2 else ""
            optional = bool(_OPTIONAL.search(value)) or notes.lower().startswith("optional")
            requirement = _system_requirement(category, value, row.line, optional)
            if requirement is not None:
                found.append(requirement)
    return found


def _system_requirement(category: str, value: str, line: int, optional: bool) -> Requirement | None:
    if _NOTHING.match(value) or not value:
        return None
    if category in ("os", "operating system"):
        names = tuple((name,) for name in operating_systems(value))
        return Requirement(RequirementKind.OS, value, line, names, optional=optional)
    if category in ("hardware", "gpu", "device", "accelerator"):
        kinds = tuple((kind,) for kind in device_kinds(value))
        minimum = device_memory_bytes(value)
        return Requirement(RequirementKind.DEVICE, value, line, kinds, minimum, optional)
    if category in ("vram", "gpu memory", "device memory"):
        minimum = size_bytes(value)
        kinds = tuple((kind,) for kind in ACCELERATORS) if minimum is not None else ()
        return Requirement(RequirementKind.DEVICE, value, line, kinds, minimum, optional)
    if category in ("memory", "ram"):
        minimum = size_bytes(value)
        choices = (("cpu",),) if minimum is not None else ()
        return Requirement(RequirementKind.DEVICE, value, line, choices, minimum, optional)
    if category in ("disk", "storage"):
        minimum = size_bytes(value)
        choices = (("disk",),) if minimum is not None else ()
        return Requirement(RequirementKind.DISK, value, line, choices, minimum, optional)
    if category == "python":
        return Requirement(
            RequirementKind.PYTHON, value, line, _python_choices(value), optional=optional
        )
    return Requirement(RequirementKind.PROGRAM, f"{category}: {value}", line, optional=True)


def _python_choices(value: str) -> tuple[tuple[str, ...], ...]:
    if match := _SPECIFIER.search(value):
        return ((match[0],),) if specifier_of(match[0]) is not None else ()
    if match := _PLAIN_VERSION.search(value):
        return ((f">={match[1]}" if match[2] else f"=={match[1]}.*",),)
    return ()


def _bullets(text: str, first_line: int, kind: RequirementKind) -> list[Requirement]:
    found: list[Requirement] = []
    for offset, line in enumerate(text.split("\n")):
        bullet = _BULLET.match(line)
        if bullet is None or _NOTHING.match(plain(bullet["text"])):
            continue
        number = first_line + offset
        text_ = plain(bullet["text"])
        optional = bool(_OPTIONAL.search(text_))
        choices = _choices(bullet["text"], kind)
        if kind is RequirementKind.PACKAGE and (python := _python_of(choices)):
            found.append(
                Requirement(RequirementKind.PYTHON, text_, number, python, optional=optional)
            )
        else:
            found.append(Requirement(kind, text_, number, choices, optional=optional))
    return found


def _python_of(choices: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """The specifiers of a bullet like ``Python>=3.10`` among the packages."""
    if len(choices) == 1 and len(choices[0]) == 1:
        parsed = PackageRequirement(choices[0][0])
        if canonicalize_name(parsed.name) == "python":
            return ((str(parsed.specifier),),)
    return ()


def _choices(text: str, kind: RequirementKind) -> tuple[tuple[str, ...], ...]:
    if kind is RequirementKind.CREDENTIAL:
        codes = " ".join("".join(groups) for groups in _CODE.findall(text)) or text
        name = _VARIABLE.search(codes)
        return ((name[0],),) if name else ()
    statement = _statement(text)
    choices = []
    for part in re.split(r"\s+or\s+", statement, flags=re.IGNORECASE):
        members = [
            member.strip().strip("`").strip()
            for member in re.split(r"\s*\+\s*(?=[A-Za-z])|\s+(?:and|with)\s+", part)
        ]
        if kind is RequirementKind.PACKAGE:
            parsed = [package_of(member) for member in members]
            if any(item is None for item in parsed):
                return ()
            choices.append(tuple(members))
        else:
            names = [re.match(r"[A-Za-z0-9][\w.+-]*", member) for member in members]
            if any(name is None for name in names):
                return ()
            choices.append(tuple(name[0] for name in names if name))
    return tuple(choices)


def _statement(text: str) -> str:
    """The requirement of a bullet, without the remark behind it and without markup."""
    text = re.sub(r"\*\*|'''", "", text)
    text = re.split(r"\s+[-–—]+\s+|\s*\((?![^)]*[<>=]=)|:\s", text, maxsplit=1)[0]
    return re.sub(r"[()]", " ", text.replace("`", "")).strip().rstrip(".,;")
