"""What keeps a process from storing results that it no longer has the right to store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from sqlalchemy.orm import Session

Fence: TypeAlias = Callable[[Session], None]
"""Called first in each transaction that stores a result. It raises where the process has lost the
job, and locks what it looked at, so that nobody takes the job away before the transaction ends."""


def open_to_all(session: Session) -> None:
    """For a command of a person: no runner takes its work away."""
