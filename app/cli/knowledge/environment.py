"""Whether this machine meets environment pages, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.cli.output import stdout
from knowledge.errors import UnknownPageError
from knowledge.model import Page, PageType
from probes.errors import InputError

if TYPE_CHECKING:
    from app.knowledge.environment import Environment, EnvironmentAnswer
    from knowledge.environments import Answer
    from knowledge.library import Library

MOST_NAMED = 12
"""Pages that an error names."""
WORDS = {"met": "met", "missing": "missing", "too_old": "too old", "too_new": "too new"}


def environment_page(library: Library, name: str) -> Page:
    """By its name. Raises ``InputError`` that names the environment pages."""
    known = library.of_type(PageType.ENVIRONMENT)
    try:
        page = library.find(name)
    except UnknownPageError as error:
        if error.is_ambiguous:
            raise InputError(str(error)) from None
        names = ", ".join(each.name for each in known[:MOST_NAMED])
        more = ", …" if len(known) > MOST_NAMED else ""
        raise InputError(
            f"There is no page named {name!r}. The environment pages are: {names}{more}"
        ) from None
    if page not in known:
        raise InputError(f"{page.full_name} is not an environment page.")
    return page


def document(environment: Environment, answers: Sequence[EnvironmentAnswer]) -> dict[str, Any]:
    """What ``--json`` prints. Environment variables are named, never shown."""
    return {
        "interpreter": environment.interpreter,
        "python": environment.facts.python,
        "os": environment.facts.os,
        "devices": [
            {"kind": each.kind, "memory_bytes": each.memory_bytes}
            for each in environment.facts.devices
        ],
        "free_disk_bytes": environment.facts.free_disk_bytes,
        "notes": list(environment.notes),
        "pages": [
            {
                "page": each.page.full_name,
                "is_met": each.is_met,
                "requirements": [_requirement(answer) for answer in each.answers],
            }
            for each in answers
        ],
    }


def show(environment: Environment, answers: Sequence[EnvironmentAnswer]) -> None:
    """Print each page with a line per requirement, and the lines that would meet what is not."""
    console = stdout()
    python = f"Python {environment.facts.python} ({environment.interpreter})"
    console.print(python, markup=False)
    for note in environment.notes:
        console.print(f"Note: {note}", markup=False)
    for each in answers:
        style = "green" if each.is_met else "red"
        word = "met" if each.is_met else "not met"
        console.print(f"\n[bold]{each.page.full_name}[/bold]: [{style}]{word}[/{style}]")
        for answer in each.answers:
            console.print(_line(answer), markup=False)


def _line(answer: Answer) -> str:
    status = WORDS.get(answer.status.value, "unknown")
    is_said = "optional" in answer.requirement.text.lower()
    optional = " (optional)" if answer.requirement.optional and not is_said else ""
    line = f"  {status:<8} {answer.requirement.text.rstrip('.')}{optional}: {answer.reason}"
    return f"{line}\n           {answer.install}" if answer.install else line


def _requirement(answer: Answer) -> dict[str, Any]:
    return {
        "kind": answer.requirement.kind.value,
        "requirement": answer.requirement.text,
        "line": answer.requirement.line,
        "optional": answer.requirement.optional,
        "status": answer.status.value,
        "reason": answer.reason,
        "install": answer.install or None,
    }
