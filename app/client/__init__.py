"""A typed client of the HTTP interface, for programs in Python."""

from __future__ import annotations

from app.client.client import Client
from app.client.errors import (
    ConflictError,
    NotAllowedError,
    NotFoundError,
    ProblemError,
    TooManyRequestsError,
    UnavailableError,
)

__all__ = [
    "Client",
    "ConflictError",
    "NotAllowedError",
    "NotFoundError",
    "ProblemError",
    "TooManyRequestsError",
    "UnavailableError",
]
