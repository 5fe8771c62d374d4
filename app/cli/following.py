"""Studies that run elsewhere, as a command sees them: where they are started, what happens to them,
and how they ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import typer

from app.cli.output import stderr, stdout
from app.cli.recommendation import show
from app.tuning.request import StudyRequest
from optimizer.records import Recommendation

if TYPE_CHECKING:
    from app.bundles.packing import Bundle
    from app.fleet.schemas import FleetOut
    from app.fleet_answers.question import FleetQuestion

SAID = ("note", "waiting")
"""Events of which the text or the reason is printed as it is."""
ENDINGS = ("interrupted", "failed", "cancelled")


@dataclass(frozen=True)
class Outcome:
    """How a study ended."""

    state: str
    message: str
    recommendation: Recommendation | None

    @property
    def document(self) -> dict[str, Any]:
        """The recommendation, or why there is none."""
        if self.recommendation is not None:
            return self.recommendation.to_dict()
        return {"recommendation": None, "state": self.state, "reasons": [self.message]}


class Studies(Protocol):
    """Where studies are started and followed."""

    def send(self, bundle: Bundle) -> None:
        """Store a working directory where every host can read it."""

    def start(self, request: StudyRequest) -> str:
        """Queue it; returns its id, or that of the same one that is active already."""

    def events(self, study_id: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Kind and data of everything that happens to it, until it is over."""

    def outcome(self, study_id: str) -> Outcome:
        """What has become of it."""

    def where_to_cancel(self, study_id: str) -> str:
        """In words, after "cancel it"."""

    def fleet(self) -> FleetOut:
        """The hosts and their devices."""

    def choose(self, question: FleetQuestion) -> dict[str, Any]:
        """The fleet answer, as ``tonnage choose`` prints it. Raises ``NotFound`` where nothing was
        measured, as ``InputError``."""


def follow(studies: Studies, study_id: str) -> Outcome:
    """Tell what happens to a study until it is over."""
    console = stderr()
    try:
        for kind, data in studies.events(study_id):
            if line := _line(kind, data):
                console.print(line, markup=False)
        return studies.outcome(study_id)
    except KeyboardInterrupt:
        text = (
            f"\nStudy {study_id} goes on. To end it, cancel it {studies.where_to_cancel(study_id)}."
        )
        console.print(text, markup=False)
        raise


def _line(kind: str, data: Mapping[str, Any]) -> str:
    """An event in words; empty for one that a person need not read."""
    if kind == "started":
        return f"It starts on {data.get('host')}, {data.get('device')} ({data.get('name')})."
    if kind == "queued":
        return f"It is queued again: {why}" if (why := str(data.get("message") or "")) else ""
    if kind in SAID:
        return str(data.get("text") or data.get("reason", ""))
    if kind == "measured":
        reason = f": {data['reason']}" if data.get("reason") else ""
        return f"  batch size {data.get('batch_size')} {data.get('verdict')}{reason}"
    if kind in ENDINGS:
        return str(data.get("message", kind))
    return ""


def show_outcomes(outcomes: Sequence[Outcome], names: Sequence[str], *, json_: bool) -> None:
    """Print each recommendation, or why there is none (``names`` says for what); with ``json_``
    only the latter. Exits where one is missing."""
    for budget, each in zip(names, outcomes, strict=True):
        if each.recommendation is None:
            console = stderr() if json_ else stdout()
            console.print(f"[bold red]No recommendation[/bold red] for {budget}.")
            console.print(f"  {each.message}", markup=False)
        elif not json_:
            show(each.recommendation)
    missing = [each for each in outcomes if each.recommendation is None]
    if missing:
        raise typer.Exit(1 if any(each.state == "finished" for each in missing) else 3)
