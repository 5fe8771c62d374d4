"""What a line in the log is about: the request and the study, wherever in the code it is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_CONTEXT: ContextVar[dict[str, str]] = ContextVar("tonnage_log_context")


def context() -> dict[str, str]:
    """The names bound here and now, such as ``{"request_id": …, "study_id": …}``."""
    return _CONTEXT.get({})


@contextmanager
def bound(**names: str) -> Iterator[None]:
    """Add names to every line that is logged inside, also from threads that work for it."""
    token = _CONTEXT.set({**context(), **names})
    try:
        yield
    finally:
        _CONTEXT.reset(token)


def bind(**names: str) -> None:
    """Add names from here to the end of the surrounding ``bound``."""
    context().update(names)
