"""Whether a machine meets a requirement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.requirements import Requirement as PackageRequirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from knowledge.environments.model import Answer, Facts, Requirement, RequirementKind, Status
from knowledge.environments.reading import requirements
from knowledge.environments.versions import package_of, specifier_of, version_of
from knowledge.model import Page


def judge(requirement: Requirement, facts: Facts) -> Answer:
    """Whether ``facts`` meet the requirement; the best answer of its choices."""
    if not requirement.choices:
        return Answer(requirement, Status.UNKNOWN, "This line cannot be checked by a program.")
    judge_choice = {
        RequirementKind.PYTHON: _judge_python,
        RequirementKind.PACKAGE: _judge_packages,
        RequirementKind.OS: _judge_os,
        RequirementKind.DEVICE: _judge_device,
        RequirementKind.DISK: _judge_disk,
        RequirementKind.PROGRAM: _judge_programs,
        RequirementKind.CREDENTIAL: _judge_credentials,
    }[requirement.kind]
    answers = [judge_choice(requirement, choice, facts) for choice in requirement.choices]
    order = (Status.MET, Status.TOO_OLD, Status.TOO_NEW, Status.UNKNOWN, Status.MISSING)
    best = min(answers, key=lambda answer: order.index(answer.status))
    if best.status is Status.MISSING and len(answers) > 1:
        reasons = " ".join(answer.reason for answer in answers)
        return Answer(requirement, Status.MISSING, reasons, best.install)
    return best


def judge_all(page: Page, facts: Facts) -> tuple[Answer, ...]:
    """The answers to everything that a page requires."""
    return tuple(judge(requirement, facts) for requirement in requirements(page))


def is_met(answers: Iterable[Answer]) -> bool:
    """Whether nothing that is needed is missing, too old or too new."""
    good = (Status.MET, Status.UNKNOWN)
    return all(answer.status in good or answer.requirement.optional for answer in answers)


def _judge_python(requirement: Requirement, choice: tuple[str, ...], facts: Facts) -> Answer:
    specifier = specifier_of(choice[0])
    version = version_of(facts.python)
    if specifier is None or version is None:
        return Answer(requirement, Status.UNKNOWN, f"Python is {facts.python}.")
    status = _compare(specifier, version)
    if status is Status.MET:
        return Answer(requirement, status, f"Python is {version}.")
    line = f"uv venv --python '{choice[0]}'"
    return Answer(requirement, status, f"Python is {version}; {choice[0]} is required.", line)


def _judge_packages(requirement: Requirement, choice: tuple[str, ...], facts: Facts) -> Answer:
    installed = {str(canonicalize_name(name)): version for name, version in facts.packages.items()}
    worst, reasons, wanted = Status.MET, [], []
    order = (Status.MET, Status.UNKNOWN, Status.TOO_NEW, Status.TOO_OLD, Status.MISSING)
    for member in choice:
        package = package_of(member)
        if package is None:
            return Answer(requirement, Status.UNKNOWN, f"{member} is not a requirement of PEP 508.")
        status, reason = _judge_package(package, installed, facts)
        reasons.append(reason)
        if status not in (Status.MET, Status.UNKNOWN):
            wanted.append(f'"{member}"')
        worst = max(worst, status, key=order.index)
    install = f"python -m pip install {' '.join(wanted)}" if wanted else ""
    return Answer(requirement, worst, " ".join(reasons), install)


def _judge_package(
    package: PackageRequirement, installed: Mapping[str, str], facts: Facts
) -> tuple[Status, str]:
    if package.marker is not None and not package.marker.evaluate(_marker_values(facts)):
        return Status.MET, f"{package.name} is not needed here ({package.marker})."
    found = installed.get(canonicalize_name(package.name))
    if found is None:
        return Status.MISSING, f"{package.name} is not installed."
    version = version_of(found)
    if version is None:
        return (
            Status.UNKNOWN,
            f"{package.name} is {found}, which is not a version as PEP 440 defines it.",
        )
    status = _compare(package.specifier, version)
    if status is Status.MET:
        return status, f"{package.name} is {found}."
    return status, f"{package.name} is {found}; {package} is required."


def _marker_values(facts: Facts) -> dict[str, str]:
    return {
        "python_version": ".".join(facts.python.split(".")[:2]),
        "python_full_version": facts.python,
        "sys_platform": {"windows": "win32"}.get(facts.os, facts.os),
        "platform_system": facts.os.capitalize(),
        "os_name": "nt" if facts.os == "windows" else "posix",
    }


def _compare(specifier: SpecifierSet, version: Version) -> Status:
    """Whether a version is in range, and on which side of it otherwise.

    A local part like ``+cpu`` does not count, and a pre-release that is installed is accepted.
    """
    public = Version(version.public)
    failed = [part for part in specifier if not part.contains(public, prereleases=True)]
    if not failed:
        return Status.MET
    for part in failed:
        bound = version_of(part.version.removesuffix(".*"))
        if bound is None:
            return Status.UNKNOWN
        below = part.operator in (">=", ">", "~=", "==", "===", "!=") and public <= bound
        if below:
            return Status.TOO_OLD
    return Status.TOO_NEW


def _judge_os(requirement: Requirement, choice: tuple[str, ...], facts: Facts) -> Answer:
    met = choice[0] == facts.os
    status = Status.MET if met else Status.MISSING
    return Answer(requirement, status, f"This system is {facts.os}.")


def _judge_device(requirement: Requirement, choice: tuple[str, ...], facts: Facts) -> Answer:
    kind = choice[0]
    fitting = [device for device in facts.devices if device.kind == kind]
    if not fitting:
        return Answer(requirement, Status.MISSING, f"There is no {kind} device here.")
    alternative = kind == "cpu" and len(requirement.choices) > 1
    needed = None if alternative else requirement.minimum_bytes
    if needed is None:
        return Answer(requirement, Status.MET, f"There is a {kind} device here.")
    sizes = [device.memory_bytes for device in fitting if device.memory_bytes is not None]
    if not sizes:
        reason = f"There is a {kind} device here; its memory is not known."
        return Answer(requirement, Status.UNKNOWN, reason)
    # A card that is sold as one of 24 GB reports a little less.
    met = max(sizes) >= 0.93 * needed
    status = Status.MET if met else Status.MISSING
    reason = f"The largest {kind} device here has {_gib(max(sizes))}."
    if not met:
        reason = f"{reason[:-1]}; {_gib(needed)} are required."
    return Answer(requirement, status, reason)


def _judge_disk(requirement: Requirement, choice: tuple[str, ...], facts: Facts) -> Answer:
    needed = requirement.minimum_bytes or 0
    if facts.free_disk_bytes is None:
        return Answer(requirement, Status.UNKNOWN, "The free space on the disk is not known.")
    met = facts.free_disk_bytes >= needed
    reason = f"{_gib(facts.free_disk_bytes)} are free" + ("." if met else "; ")
    if not met:
        reason += f"{_gib(needed)} are required."
    return Answer(requirement, Status.MET if met else Status.MISSING, reason)


def _judge_programs(requirement: Requirement, choice: tuple[str, ...], facts: Facts) -> Answer:
    if facts.programs is None:
        return Answer(requirement, Status.UNKNOWN, "Nobody looked for programs.")
    missing = [name for name in choice if name not in facts.programs]
    if not missing:
        return Answer(requirement, Status.MET, f"{', '.join(choice)} found on the PATH.")
    names = " ".join(missing)
    install = f"sudo apt-get install {names}" if facts.os == "linux" else ""
    install = f"brew install {names}" if facts.os == "darwin" else install
    reason = (
        f"No program named {', '.join(missing)} is on the PATH; a library is not found this way."
    )
    return Answer(requirement, Status.UNKNOWN, reason, install)


def _judge_credentials(requirement: Requirement, choice: tuple[str, ...], facts: Facts) -> Answer:
    name = choice[0]
    if name in facts.variables:
        return Answer(requirement, Status.MET, f"{name} is set.")
    return Answer(requirement, Status.MISSING, f"{name} is not set.", f"export {name}=…")


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
