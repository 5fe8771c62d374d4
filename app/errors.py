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
    """A workload that this host does not offer by name: nothing of it was looked at."""


class NotAllowed(InputError):
    """Something that only whoever runs the service may decide."""


class IdempotencyConflict(Conflict):
    """The idempotency key was used before, for another request."""
