"""What a client's call raises: the service's problem documents, as exceptions to tell apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from probes.errors import InputError, MeasurementError, TonnageError

GIVE_A_KEY = (
    "Give a key with --api-key or TONNAGE_KEY (from Python: key=…). The operator of the service "
    "makes one with: tonnage keys create"
)
"""The service's own words are for those who write headers."""


@dataclass(frozen=True)
class FieldError:
    """One field that is wrong."""

    field: str
    message: str


@dataclass
class ProblemError(TonnageError):
    """The service's answer was an error."""

    kind: str
    """The kind of error: what its ``type`` ends in, such as ``not-found``."""
    status: int
    title: str
    detail: str
    what_to_do: str = ""
    request_id: str = ""
    """Under which the service's log has more."""
    errors: list[FieldError] = field(default_factory=list)
    retry_after_s: float | None = None

    def __post_init__(self) -> None:
        kind = MeasurementError if self.is_away else InputError
        self.exit_code = kind.exit_code

    @property
    def is_away(self) -> bool:
        """Whether the service gave no answer, and not the answer that the request is wrong."""
        return self.status in (0, 429) or self.status >= 500

    def __str__(self) -> str:
        where = f" (request {self.request_id})" if self.request_id else ""
        title = f"{self.status} {self.title}" if self.status else self.title
        # A command at the end has no full stop, so that it can be copied.
        between = " " if not self.detail or self.detail[-1] in ".!?)" else "\n"
        return f"{title}: {self.detail}{between}{self.what_to_do}".strip() + where


class NotFoundError(ProblemError):
    """There is no such thing, or nothing comparable has been measured."""


class NotAllowedError(ProblemError):
    """No valid key, a key with too small a scope, or a workload that is not registered."""


class ConflictError(ProblemError):
    """It is in a state in which this cannot be done."""


class TooManyRequestsError(ProblemError):
    """Wait ``retry_after_s``."""


class UnavailableError(ProblemError):
    """The service cannot be reached, or cannot answer now. Nothing of what was asked is known to
    have been done."""


_BY_STATUS: dict[int, type[ProblemError]] = {
    401: NotAllowedError,
    403: NotAllowedError,
    404: NotFoundError,
    409: ConflictError,
    429: TooManyRequestsError,
    502: UnavailableError,
    503: UnavailableError,
    504: UnavailableError,
}


def is_problem(document: Any) -> bool:
    """Whether it is a problem document of a Tonnage service."""
    return isinstance(document, dict) and "#" in str(document.get("type"))


def problem_from(status: int, document: Any, retry_after: str | None) -> ProblemError:
    """From an answer's status and body. Any other body (a proxy's page) is an unknown problem."""
    known = document if is_problem(document) else {}
    kind = str(known.get("type", "")).rpartition("#")[2] or "unknown"
    errors = known.get("errors")
    return _BY_STATUS.get(status, ProblemError)(
        kind=kind,
        status=status,
        title=str(known.get("title", "The service answered with an error")),
        detail=str(known.get("detail", "")),
        what_to_do=GIVE_A_KEY if kind == "not-authenticated" else str(known.get("what_to_do", "")),
        request_id=str(known.get("request_id", "")),
        errors=[
            FieldError(str(each.get("field", "")), str(each.get("message", "")))
            for each in (errors if isinstance(errors, list) else [])
            if isinstance(each, dict)
        ],
        retry_after_s=float(retry_after) if retry_after and retry_after.isdecimal() else None,
    )


def unreachable(url: str, why: str, title: str = "The service does not answer") -> UnavailableError:
    """No answer of a service."""
    return UnavailableError(
        kind="unreachable",
        status=0,
        title=title,
        detail=f"{url}: {why}.",
        what_to_do="Check the address, and that tonnage serve runs there.",
    )


def foreign(url: str, what: str = "") -> UnavailableError:
    """Another program answers at that address, with ``what``."""
    how = f" ({what})" if what else ""
    why = f"the answer is not from a Tonnage service of this version{how}"
    return unreachable(url, why, "Something else answers")
