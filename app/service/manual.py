"""The pages ``/docs`` and ``/errors``: the description of the interface, for people.

They are plain pages made on the server, so that they work without a network and run no script. The
usual viewers are a megabyte of JavaScript that browsers fetch from another site.
"""

from __future__ import annotations

import json
from typing import Any

from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

from app.dashboard.page import environment
from app.http.problem_types import PAGE, TYPES

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def interface(document: dict[str, Any]) -> HTMLResponse:
    """Every operation with its parameters, an example body, and its answers."""
    by_tag: dict[str, list[dict[str, Any]]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            example = _example_body(document, operation)
            shown = {"parameters": [], "path": path, "method": method.upper(), "example": example}
            by_tag.setdefault(operation["tags"][0], []).append(shown | operation)
    return _page("manual_interface.html", info=document["info"], by_tag=by_tag, errors=PAGE)


def errors() -> HTMLResponse:
    """Every kind of error, under the heading that its ``type`` points to."""
    return _page("manual_errors.html", kinds=TYPES.values())


def _page(template: str, **context: Any) -> HTMLResponse:
    text = environment().get_template(template).render(inline=_inline, **context)
    return HTMLResponse(text, headers={"Content-Security-Policy": POLICY})


def _example_body(document: dict[str, Any], operation: dict[str, Any]) -> str:
    """As JSON; empty for an operation without a body or an example."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return ""
    name = content["schema"]["$ref"].rpartition("/")[2]
    examples = document["components"]["schemas"][name].get("examples", [])
    return json.dumps(examples[0], indent=2) if examples else ""


def _inline(text: str) -> Markup:
    """With `code` as code."""
    code = Markup("<code>{}</code>")
    pieces = enumerate(text.split("`"))
    return Markup().join(code.format(each) if odd % 2 else escape(each) for odd, each in pieces)
