"""A diagram in a frame of its own.

Mermaid writes styles into what it draws, which the policy of our pages forbids. So a diagram is a
page by itself in a sandboxed frame: its styles are allowed there, its only scripts are ours, and it
can reach neither the page around it nor anything else.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.dashboard.page import POLICY, page

FRAME_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'self'; "
    "style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
FRAMED = {"Content-Security-Policy": FRAME_POLICY, "X-Frame-Options": "SAMEORIGIN"}
WITH_DIAGRAMS = {"Content-Security-Policy": f"{POLICY}; frame-src 'self'"}
"""Headers of a page that has such frames."""


def diagram(request: Request, title: str, source: str) -> Response:
    """A page with one diagram. ``source`` is Mermaid's text, from anywhere."""
    context = {"title": title, "source": source}
    return page(request, "diagram.html", context, headers=FRAMED)
