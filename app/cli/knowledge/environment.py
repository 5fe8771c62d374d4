"""Whether this machine meets environment pages, for people and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from app.cli.output import stdout

if TYPE_CHECKING:
    from app.knowledge.environment import Environment, EnvironmentAnswer
    from knowledge.environments import Answer

WORDS = {"met": "met", "missing": "missing", "too_old": "too old", "too_new": "too new"}


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
