"""Every kind of error the HTTP interface answers with (RFC 9457). Each is described in
``docs/api-errors.md`` under the heading that its ``type`` ends in."""

from __future__ import annotations

from dataclasses import dataclass

PAGE = "https://github.com/tonnage/tonnage/blob/main/docs/api-errors.md"
"""Where the types are described. They identify an error: nothing has to be fetched."""


@dataclass(frozen=True)
class ProblemType:
    """One kind of error: what is always the same about it."""

    slug: str
    status: int
    title: str
    what_to_do: str

    @property
    def uri(self) -> str:
        return f"{PAGE}#{self.slug}"


INVALID_REQUEST = ProblemType(
    "invalid-request",
    422,
    "The request does not have the form that the interface describes",
    "Correct the fields named in errors; /docs and /openapi.json say what each may be.",
)
MALFORMED_BODY = ProblemType(
    "malformed-body",
    400,
    "The body cannot be read",
    "Send one JSON document, in UTF-8 and with Content-Type: application/json.",
)
NOT_AUTHENTICATED = ProblemType(
    "not-authenticated",
    401,
    "A valid API key is needed",
    "Send Authorization: Bearer KEY. Whoever runs the service makes one with: tonnage keys create",
)
SCOPE_MISSING = ProblemType(
    "scope-missing",
    403,
    "This key may not do that",
    "Use a key with the scope named in detail.",
)
WORKLOAD_NOT_REGISTERED = ProblemType(
    "workload-not-registered",
    403,
    "Only registered workloads are run",
    "Name one that GET /v1/workloads/registered lists, or register it in tonnage.toml on the host.",
)
OPTION_NOT_ALLOWED = ProblemType(
    "option-not-allowed",
    403,
    "A request may not set this option of the workload",
    "Leave it out, or have it allowed or set in tonnage.toml on the host.",
)
FOREIGN_ORIGIN = ProblemType(
    "foreign-origin",
    403,
    "A page of another origin may not use this service",
    "List the origin under service.cors_origins in tonnage.toml, or call from a program.",
)
FORM_EXPIRED = ProblemType(
    "form-expired",
    403,
    "The form is no longer good",
    "Go back, reload the page and send the form again.",
)
NOT_FOUND = ProblemType(
    "not-found",
    404,
    "There is no such thing",
    "List what there is, and compare the id.",
)
NO_RECOMMENDATION = ProblemType(
    "no-recommendation",
    404,
    "Nothing comparable has been measured",
    "Measure it: POST /v1/studies, or the command named in detail.",
)
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed",
    405,
    "This cannot be done with that method",
    "Use one of the methods that the Allow header lists.",
)
REQUEST_TIMEOUT = ProblemType(
    "request-timeout",
    408,
    "The request did not arrive in time",
    "Send the whole body at once; service.body_timeout_s says how long is waited.",
)
CONFLICT = ProblemType(
    "conflict",
    409,
    "It is in a state in which this cannot be done",
    "Read it again, and act on the state it is in.",
)
IDEMPOTENCY_CONFLICT = ProblemType(
    "idempotency-conflict",
    409,
    "This Idempotency-Key stands for another request",
    "Use a new key for a new request, and the same key only for the same body.",
)
PLAN_REFUSED = ProblemType(
    "plan-refused",
    409,
    "The plan does not agree with what is stored",
    "Correct what detail names: a dimension or value that the workload does not have, or something "
    "that is not stored and the plan has to say itself.",
)
BODY_TOO_LARGE = ProblemType(
    "body-too-large",
    413,
    "The body is larger than is read",
    "Send less at once; service.max_body_bytes is the limit.",
)
WRONG_HOST = ProblemType(
    "wrong-host",
    421,
    "The service was called by a name that is not its own",
    "Call it as localhost or 127.0.0.1. To serve under another name, listen on another address, "
    "with keys.",
)
TOO_MANY_REQUESTS = ProblemType(
    "too-many-requests",
    429,
    "Requests come faster than the service answers them",
    "Wait for the seconds that Retry-After names; service.rate_per_s is the limit.",
)
INTERNAL = ProblemType(
    "internal-error",
    500,
    "The service failed",
    "Report it with the request_id, under which the log has the details.",
)
UNAVAILABLE = ProblemType(
    "unavailable",
    503,
    "The service cannot answer now",
    "Try again after the seconds that Retry-After names; detail says what is missing.",
)

TYPES = {
    kind.slug: kind
    for kind in (
        INVALID_REQUEST,
        MALFORMED_BODY,
        NOT_AUTHENTICATED,
        SCOPE_MISSING,
        WORKLOAD_NOT_REGISTERED,
        OPTION_NOT_ALLOWED,
        FOREIGN_ORIGIN,
        FORM_EXPIRED,
        NOT_FOUND,
        NO_RECOMMENDATION,
        METHOD_NOT_ALLOWED,
        REQUEST_TIMEOUT,
        CONFLICT,
        IDEMPOTENCY_CONFLICT,
        PLAN_REFUSED,
        BODY_TOO_LARGE,
        WRONG_HOST,
        TOO_MANY_REQUESTS,
        INTERNAL,
        UNAVAILABLE,
    )
}
