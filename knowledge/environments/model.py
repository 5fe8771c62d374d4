"""Requirements, facts and answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class RequirementKind(StrEnum):
    """What has to be there."""

    PYTHON = "python"
    PACKAGE = "package"
    OS = "os"
    DEVICE = "device"
    DISK = "disk"
    PROGRAM = "program"
    CREDENTIAL = "credential"


class Status(StrEnum):
    """The answer to one requirement."""

    MET = "met"
    MISSING = "missing"
    TOO_OLD = "too_old"
    TOO_NEW = "too_new"
    """Installed, but beyond the newest version that the page allows."""
    UNKNOWN = "unknown"
    """The page does not say it in a form that can be checked, or the fact is not known."""


@dataclass(frozen=True)
class Requirement:
    """One line of an environment page."""

    kind: RequirementKind
    text: str
    """As it is written, without markup."""
    line: int
    choices: tuple[tuple[str, ...], ...] = ()
    """Any one of these is enough, and it needs all its members. Members are requirements of PEP
    508 for packages, a specifier like ``>=3.10`` for Python, names of operating systems
    (``linux``, ``darwin``, ``windows``), kinds of device (``cuda``, ``rocm``, ``mps``, ``xpu``,
    ``cpu``), programs, or environment variables. Empty: it cannot be checked."""
    minimum_bytes: int | None = None
    """Of device memory, or of free disk. Where a CPU is one of several choices, it is that of the
    others."""
    optional: bool = False

    @property
    def name(self) -> str:
        """The first thing that is required, like ``torch``; the text where nothing was read."""
        first = self.choices[0][0] if self.choices else self.text
        return (
            re.split(r"[\s<>=!~;\[]", first)[0] if self.kind is RequirementKind.PACKAGE else first
        )


@dataclass(frozen=True)
class DeviceFact:
    """A device of this machine."""

    kind: str
    """``cuda``, ``rocm``, ``mps``, ``xpu`` or ``cpu``."""
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Facts:
    """What is known of a machine and of the interpreter that would train."""

    python: str
    """Version, like ``3.11.7``."""
    packages: Mapping[str, str]
    """Versions of the installed distributions by name."""
    os: str
    """``linux``, ``darwin`` or ``windows``."""
    devices: tuple[DeviceFact, ...] = ()
    free_disk_bytes: int | None = None
    variables: frozenset[str] = field(default_factory=frozenset)
    """Names of the environment variables that are set; never their values."""
    programs: frozenset[str] | None = None
    """Names of the programs on the PATH; ``None`` where nobody looked."""


@dataclass(frozen=True)
class Answer:
    """Whether a requirement is met."""

    requirement: Requirement
    status: Status
    reason: str
    install: str = ""
    """The line of a shell that would meet it; empty where no line can."""
