"""Errors of the rules in ``app``, told apart because a program treats them differently."""

from __future__ import annotations

from typing import TypeVar

from probes.errors import InputError

Found = TypeVar("Found")


class NotFound(InputError):
    """There is no such thing (any more)."""


def required(found: Found | None, what: str) -> Found:
    """``found``, which a look-up gave. Raises ``NotFound`` where that is ``None``."""
    if found is None:
        raise NotFound(f"There is no {what}.")
    return found


class NothingComparable(NotFound):
    """No recommendation of a workload and budget could even be a prior."""


class Conflict(InputError):
    """The thing is in a state in which this cannot be done."""


class NotRegistered(InputError):
    """This host does not offer a workload, model or data of this name. Nothing was looked up."""


class NotAllowed(InputError):
    """Only the operator of the service may decide this."""


class NotAccepted(InputError):
    """No host accepts code that users send."""


class NotInstalled(InputError):
    """This needs a package that is not installed here."""


class IdempotencyConflict(Conflict):
    """The idempotency key was used before, for another request."""
