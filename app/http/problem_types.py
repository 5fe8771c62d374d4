"""Every kind of error that the HTTP interface answers with (RFC 9457), described once.

The service's page ``/errors`` and the list in ``docs/api-errors.md`` are made from this.
"""

from __future__ import annotations

from dataclasses import dataclass

PAGE = "/errors"
"""Where the service describes the kinds; a ``type`` is this page with the kind as fragment."""


@dataclass(frozen=True)
class ProblemType:
    """One kind of error: everything about it that is always the same."""

    slug: str
    status: int
    title: str
    when: str
    """In which situation the service answers with it."""
    what_to_do: str

    @property
    def uri(self) -> str:
        """Relative to the service, as RFC 9457 allows."""
        return f"{PAGE}#{self.slug}"


MALFORMED_BODY = ProblemType(
    "malformed-body",
    400,
    "The body cannot be read",
    "The body is not one JSON document in UTF-8, it is nested too deeply to be parsed, or an "
    "object in it has the same key twice.",
    "Send one JSON document, in UTF-8 and with Content-Type: application/json.",
)
NOT_AUTHENTICATED = ProblemType(
    "not-authenticated",
    401,
    "A valid API key is needed",
    "The request carries no API key, or one that is unknown or revoked.",
    "Send Authorization: Bearer KEY. The operator of the service makes a key with: tonnage keys "
    "create",
)
SCOPE_MISSING = ProblemType(
    "scope-missing",
    403,
    "The scope of this key is too small",
    "The key is valid, but its scope does not cover the request: `read` reads, `run` also starts "
    "and cancels jobs, asks for checks and answers and sends results, `code` also runs code that "
    "the caller sends (bundles), `admin` also deletes and drains fleet nodes. Code is accepted "
    "with a key only, never from a service without keys.",
    "Use a key with the scope named in detail.",
)
WORKLOAD_NOT_REGISTERED = ProblemType(
    "workload-not-registered",
    403,
    "Only registered workloads are run",
    "The request names something that is not a registered workload, or a model or data to "
    "fine-tune that is not registered. Code that a request names is never imported: a path or a "
    "module is refused without being looked at.",
    "Name a workload that GET /v1/workloads/registered lists, or a model or data that detail "
    "lists, or register it in tonnage.toml on the host.",
)
OPTION_NOT_ALLOWED = ProblemType(
    "option-not-allowed",
    403,
    "A request may not set this option of the workload",
    "The request sets an option that only the operator of the service may set, such as the file "
    "that the workload reads.",
    "Leave the option out, or have the operator allow it with request_options, or set it with "
    "options, in tonnage.toml on the host.",
)
CODE_NOT_ACCEPTED = ProblemType(
    "code-not-accepted",
    403,
    "No host accepts code that is sent",
    "The request names a bundle, and neither the service's host nor any known runner has accept = "
    "true in [bundles] of its tonnage.toml.",
    "Have the operator of a host allow it, or name a registered workload.",
)
FOREIGN_ORIGIN = ProblemType(
    "foreign-origin",
    403,
    "A page of another origin may not use this service",
    "A web page of another origin sent a request that changes something to a service without "
    "keys, or a form of the dashboard was sent from a page of another site.",
    "List the origin under service.cors_origins in tonnage.toml, use keys, or call from a program.",
)
FORM_EXPIRED = ProblemType(
    "form-expired",
    403,
    "The form has expired",
    "A form of the dashboard carries another token than its page: somebody logged in or out in "
    "this browser since the page was loaded, or another site made the form.",
    "Go back, reload the page and send the form again.",
)
NOT_FOUND = ProblemType(
    "not-found",
    404,
    "Not found",
    "The path does not exist, or nothing has the id.",
    "Check the path, and compare the id with the listing.",
)
NO_RECOMMENDATION = ProblemType(
    "no-recommendation",
    404,
    "Nothing comparable has been measured",
    "No study of this workload and budget was run on the device, nor on a device of its class or "
    "kind; or there is no such workload or budget.",
    "Do what detail says: correct a name, or measure with POST /v1/studies or the command there.",
)
METHOD_NOT_ALLOWED = ProblemType(
    "method-not-allowed",
    405,
    "The path does not support this method",
    "The path exists, but not with the method of the request.",
    "Use one of the methods that the Allow header lists.",
)
REQUEST_TIMEOUT = ProblemType(
    "request-timeout",
    408,
    "The request did not arrive in time",
    "The body was not complete after service.body_timeout_s. (If the headers do not arrive in "
    "time, the connection is closed without an answer.)",
    "Send the whole body at once.",
)
CONFLICT = ProblemType(
    "conflict",
    409,
    "The current state does not allow this",
    "For example, a study that has ended is to be cancelled, or one that runs is to be deleted.",
    "Read the resource again, and act on the state it is in.",
)
IDEMPOTENCY_CONFLICT = ProblemType(
    "idempotency-conflict",
    409,
    "This Idempotency-Key stands for another request",
    "The key was used before, for a request with another body.",
    "Use a new key for a new request, and the same key only for the same body.",
)
PLAN_REFUSED = ProblemType(
    "plan-refused",
    409,
    "The plan does not agree with what is stored",
    "POST /v1/checks could read the plan, but the plan sets a dimension that the workload does not "
    "have or a value outside its space, names no workload although its recommendation is not "
    "stored, or states no memory although that of the device is unknown. Nothing was stored.",
    "Correct what detail names.",
)
QUESTION_REFUSED = ProblemType(
    "question-refused",
    409,
    "The question cannot be answered with what is stored and configured",
    "POST /v1/fleet-answers could read the question, but it gives more than one of epochs, samples "
    "and cycles, an unknown budget, a dimension or value that no measured config has, a sum of "
    "money while no price is configured, or epochs of a workload without a known dataset size. "
    "Nothing was stored.",
    "Correct what detail names, or have the operator set the value that it names in tonnage.toml.",
)
BUNDLE_REFUSED = ProblemType(
    "bundle-refused",
    409,
    "What was sent is not the bundle",
    "The body of PUT /v1/bundles/{id} is not compressed with zlib, is not a tar file of regular "
    "files with relative paths, is larger than the limits in [bundles] of the service's "
    "tonnage.toml, or has another SHA-256 than the id. Nothing was stored.",
    "Correct what detail names. app.client.Client and tonnage tune --fleet make valid bundles.",
)
BODY_TOO_LARGE = ProblemType(
    "body-too-large",
    413,
    "The body is too large",
    "The body is larger than service.max_body_bytes. The rest of it was not read.",
    "Send less at once.",
)
WRONG_HOST = ProblemType(
    "wrong-host",
    421,
    "The service was called by a name that is not its own",
    "A service without keys answers only to the names of its own machine (localhost, 127.0.0.1, "
    "[::1]), because a web page could make another name point to it.",
    "Call it as localhost or 127.0.0.1. To serve under another name, listen on another address, "
    "with keys.",
)
INVALID_REQUEST = ProblemType(
    "invalid-request",
    422,
    "The request is not valid",
    "A field, a query parameter or a header is missing, unknown, of the wrong type or out of "
    "range, or its value does not exist (such as an unknown budget). `errors` has one entry per "
    "field.",
    "Correct the fields named in errors; /docs and /openapi.json describe what each may be.",
)
TOO_MANY_REQUESTS = ProblemType(
    "too-many-requests",
    429,
    "Too many requests",
    "More than service.rate_per_s requests per second came from one key, or from one address for "
    "requests without a valid key.",
    "Wait for the number of seconds in the Retry-After header.",
)
INTERNAL = ProblemType(
    "internal-error",
    500,
    "The service failed",
    "An unexpected error, whose traceback is in the log of the service under the request_id.",
    "Report it with the request_id.",
)
NOT_INSTALLED = ProblemType(
    "not-installed",
    501,
    "A part of Tonnage is not installed here",
    "The request needs a package that is not installed where the service runs: comparing "
    "fine-tunings needs the extra tonnage[llm].",
    "Install what detail names where the service runs, and start the service again.",
)
UNAVAILABLE = ProblemType(
    "unavailable",
    503,
    "The service cannot answer now",
    "The database cannot be reached, is locked or full, or has not been migrated.",
    "Try again after the number of seconds in the Retry-After header; /readyz answers 200 when the "
    "service can work again.",
)

TYPES: dict[str, ProblemType] = {
    kind.slug: kind for kind in list(globals().values()) if isinstance(kind, ProblemType)
}
"""By slug, in the order of their status."""


def as_markdown() -> str:
    """Every kind under a heading of its slug."""
    return "\n\n".join(
        f"### {kind.slug}\n\n{kind.status}. {kind.title}. {kind.when} {kind.what_to_do}"
        for kind in TYPES.values()
    )
