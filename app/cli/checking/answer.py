"""The answer to ``tonnage check``, from a service or the local store, measured first if wanted."""

from __future__ import annotations

from typing import Any

from app.checks import service as checks
from app.checks.evaluate import stored_columns, tune_again
from app.checks.request import CheckRequest
from app.cli.checking.command import CheckCommand
from app.cli.checking.question import Opened, PlannedWorkload, question_of
from app.settings import Settings
from probes.errors import InputError, TonnageError

UNDECIDED = ("unknown", "stale")


def answer(command: CheckCommand, settings: Settings, opened: Opened) -> dict[str, Any]:
    """See ``evaluate.document`` for the keys; adds ``id``, if it could be stored, and ``warnings``.

    Raises ``InputError``, and ``MeasurementError`` where measuring failed.
    """
    asked, workload = question_of(command, settings, opened)
    found = _answer(command, settings, opened, asked, workload)
    wanted = command.probe or ("full" if command.on_unknown == "probe" else None)
    if wanted and (command.probe or found["verdict"] in UNDECIDED):
        if asked.here is None:
            raise InputError(
                f"--probe measures on this machine, but {command.device} is a device of another "
                "machine."
            )
        from app.cli.checking.probing import measure

        is_quick = wanted == "quick"
        measure(command, settings, workload, asked.here, found, is_quick=is_quick)
        found = _answer(command, settings, opened, asked, workload, accept_brackets=is_quick)
    return found


def _answer(
    command: CheckCommand,
    settings: Settings,
    opened: Opened,
    asked: CheckRequest,
    workload: PlannedWorkload,
    *,
    accept_brackets: bool = False,
) -> dict[str, Any]:
    """From the service if one is named and answers, else from the local store. Kept here in either
    case; an answer that cannot be kept is still an answer."""
    warnings = [workload.note] if workload.note else []
    if command.server:
        from app.cli.checking import service

        try:
            given = service.ask(command, asked, accept_brackets=accept_brackets)
            given = with_command(given, workload, asked)
        except service.ServiceAway as error:
            warnings.append(f"{error} The answer is from the local store.")
        else:
            kept = {**stored_columns(given), "recommendation_id": None}  # stored there, not here
            return {**given, "warnings": [*warnings, *_kept(opened, kept)[1]]}
    found = checks.answer(opened(), settings, asked, accept_brackets=accept_brackets)
    found = with_command(found, workload, asked)
    identity, doubts = _kept(opened, stored_columns(found))
    return {**found, "id": identity, "warnings": [*warnings, *doubts]}


def with_command(
    answer: dict[str, Any], workload: PlannedWorkload, asked: CheckRequest
) -> dict[str, Any]:
    """With the command that was compared, its folder, and how to measure it there. An answer that
    no longer holds says which script it is about, where that is not the one that was measured.
    Where the source could not be compared, nothing that was measured says that the plan fits."""
    command = workload.command
    answer = {**answer, "command": command}
    if command is None:
        return answer
    answer["tune"] = tune_again(workload.label, workload.options, asked, answer)
    if workload.doubt:
        is_fit = answer["verdict"] == "fits"
        return {**answer, "verdict": "stale", "reason": workload.doubt} if is_fit else answer
    folder, measured_in = command["folder"], command["measured_in"]
    if answer["verdict"] != "stale" or folder == measured_in:
        return answer
    about = f"the script in {folder} was compared, and what was measured is the one in "
    return {**answer, "reason": f"{answer['reason']} ({about}{measured_in})"}


def _kept(opened: Opened, columns: dict[str, Any]) -> tuple[str | None, list[str]]:
    """The id it was kept under, and warnings."""
    try:
        return checks.record(opened(), **columns).id, []
    except TonnageError as error:
        return None, [f"The answer could not be stored: {error}"]
