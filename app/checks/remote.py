"""A check by a service."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from app.checks.request import CheckRequest
from app.client import Client, NotFoundError, ProblemError, TooManyRequestsError, UnavailableError
from app.deadline import Late, within
from probes.errors import InputError, MeasurementError

if TYPE_CHECKING:
    from app.machine.session import MeasuringSession
    from app.machine.target import Target
    from probes.measurement import Measurement

Result = TypeVar("Result")

TIMEOUT_S = 15.0


class ServiceAway(MeasurementError):
    """It cannot be reached, or cannot answer now."""


def ask_service(
    url: str, key: str | None, asked: CheckRequest, *, accept_brackets: bool
) -> dict[str, Any]:
    """The answer with its id there. Raises ``ServiceAway`` and ``InputError``."""
    plan = {name: value for name, value in asdict(asked).items() if name != "space"}
    try:
        found = _ask(
            url, key, lambda tonnage: tonnage.ask_check(**plan, accept_brackets=accept_brackets)
        )
    except NotFoundError as error:
        raise (InputError if error.kind == "not-found" else ServiceAway)(
            f"{url}: {error}"
        ) from None
    return {**found.document, "id": found.id}


def recommendation(url: str, key: str | None, identity: str) -> dict[str, Any] | None:
    """``None`` where the service has no such one."""
    try:
        return _ask(url, key, lambda tonnage: tonnage.recommendation(identity).model_dump())
    except NotFoundError:
        return None


def send_measurement(
    url: str, key: str | None, target: Target, bench: MeasuringSession, measurement: Measurement
) -> None:
    """Make the device known, and what was measured on it."""
    scope, facts = bench.scope, target.facts

    def send(tonnage: Client) -> None:
        tonnage.add_device(target.fingerprint, kind=facts.kind, name=facts.name)
        tonnage.add_measurement(
            measurement,
            workload_hash=scope.workload_hash,
            fingerprint=scope.fingerprint,
            environment=scope.environment,
        )

    _ask(url, key, send)


def _ask(url: str, key: str | None, question: Callable[[Client], Result]) -> Result:
    """Raises ``ServiceAway``; ``InputError`` where the service refuses what it is asked, and
    ``NotFoundError`` as it is."""

    def call() -> Result:
        with Client(url, key, TIMEOUT_S, attempts=1) as tonnage:
            return question(tonnage)

    try:
        return within(TIMEOUT_S, f"The service at {url}", call)
    except NotFoundError:
        raise
    except ProblemError as error:
        away = isinstance(error, (UnavailableError, TooManyRequestsError)) or error.status >= 500
        raise (ServiceAway(str(error)) if away else InputError(f"{url}: {error}")) from None
    except (Late, ValueError) as error:
        words = "answered as no Tonnage service of this version does."
        raise ServiceAway(str(error) if isinstance(error, Late) else f"{url} {words}") from None
