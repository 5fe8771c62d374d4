"""A check by a service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from app.checks.asked import Asked
from app.client import Client, NotFoundError, ProblemError, UnavailableError
from probes.errors import InputError, MeasurementError

if TYPE_CHECKING:
    from app.bench import Bench
    from app.target import Target
    from probes.measurement import Measurement

TIMEOUT_S = 15.0


class ServiceAway(MeasurementError):
    """It cannot be reached, or cannot answer now."""


@contextmanager
def _service(url: str, key: str | None) -> Iterator[Client]:
    """Raises ``ServiceAway``; ``InputError`` where it refuses what it is asked."""
    try:
        with Client(url, key, TIMEOUT_S, attempts=1) as tonnage:
            yield tonnage
    except UnavailableError as error:
        raise ServiceAway(str(error)) from None
    except ProblemError as error:
        raise InputError(f"{url}: {error}") from None


def ask_service(
    url: str, key: str | None, asked: Asked, *, accept_brackets: bool
) -> dict[str, Any]:
    """The answer with its id there. Raises ``ServiceAway`` and ``InputError``."""
    plan = {name: value for name, value in asdict(asked).items() if name != "space"}
    with _service(url, key) as tonnage:
        found = tonnage.ask_check(**plan, accept_brackets=accept_brackets)
    return {**found.document, "id": found.id}


def recommendation(url: str, key: str | None, identity: str) -> dict[str, Any] | None:
    """``None`` where the service has no such one."""
    with _service(url, key) as tonnage:
        try:
            return tonnage.recommendation(identity).model_dump()
        except NotFoundError:
            return None


def send_measurement(
    url: str, key: str | None, target: Target, bench: Bench, measurement: Measurement
) -> None:
    """Make the device known, and what was measured on it."""
    scope, facts = bench.scope, target.facts
    with _service(url, key) as tonnage:
        tonnage.add_device(target.fingerprint, kind=facts.kind, name=facts.name)
        tonnage.add_measurement(
            measurement,
            workload_hash=scope.workload_hash,
            fingerprint=scope.fingerprint,
            environment=scope.environment,
        )
