"""What ``tonnage check`` asks a service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from app.checks.request import CheckRequest
from app.cli.checking.command import CheckCommand
from app.cli.starting import UNLIKE_OURS
from app.client import Client, NotFoundError, ProblemError
from app.deadline import Late, within
from optimizer.records import Recommendation
from probes.errors import InputError, MeasurementError

if TYPE_CHECKING:
    from app.machine.target import Target
    from optimizer.scope import Scope
    from probes.measurement import Measurement

Result = TypeVar("Result")

TIMEOUT_S = 15.0


class ServiceAway(MeasurementError):
    """The service cannot be reached, or cannot answer now."""


def ask(command: CheckCommand, asked: CheckRequest, *, accept_brackets: bool) -> dict[str, Any]:
    """The answer, with its id there. Raises ``ServiceAway`` and ``InputError``."""
    plan = {name: value for name, value in asdict(asked).items() if name != "space"}
    if plan["ranks"] is None:
        del plan["ranks"]  # a service of an earlier release does not know it
    try:
        found = _ask(
            command, lambda tonnage: tonnage.ask_check(**plan, accept_brackets=accept_brackets)
        )
    except NotFoundError as error:
        raise (InputError if error.kind == "not-found" else ServiceAway)(
            f"{command.server}: {error}"
        ) from None
    return {**found.document, "id": found.id}


def recommendation(command: CheckCommand, identity: str) -> Recommendation | None:
    """``None`` where the service does not have it, or cannot be asked."""
    try:
        out = _ask(command, lambda tonnage: tonnage.recommendation(identity))
    except (NotFoundError, ServiceAway):
        return None
    return Recommendation.from_dict(out.model_dump())


def send_measurement(
    command: CheckCommand, target: Target, scope: Scope, measurement: Measurement
) -> None:
    """Register the device there, and send what was measured on it."""

    def send(tonnage: Client) -> None:
        tonnage.add_device(target.fingerprint, kind=target.facts.kind, name=target.facts.name)
        tonnage.add_measurement(
            measurement,
            workload_hash=scope.workload_hash,
            fingerprint=scope.fingerprint,
            environment=scope.environment,
        )

    _ask(command, send)


def _ask(command: CheckCommand, question: Callable[[Client], Result]) -> Result:
    """Raises ``ServiceAway``, ``InputError`` where the service refuses the request, and
    ``NotFoundError``."""
    url, key = str(command.server), command.api_key

    def call() -> Result:
        with Client(url, key, TIMEOUT_S, attempts=1) as tonnage:
            return question(tonnage)

    try:
        return within(TIMEOUT_S, f"The service at {url}", call)
    except NotFoundError:
        raise
    except ProblemError as error:
        raise (
            ServiceAway(str(error)) if error.is_away else InputError(f"{url}: {error}")
        ) from None
    except (Late, ValueError) as error:
        words = str(error) if isinstance(error, Late) else f"{url} {UNLIKE_OURS}"
        raise ServiceAway(words) from None
