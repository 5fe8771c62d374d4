"""The page of a recommendation as one self-contained HTML file.

It contains its styles, scripts and data, and its policy allows nothing else. It opens from a disk,
an attachment or a static host, without a network and without a running service.
"""

from __future__ import annotations

import base64
import hashlib

from app.clock import utc_now
from app.dashboard.assets import text_of
from app.dashboard.page import environment
from app.dashboard.views.recommendation import RecommendationView

STYLES = ("dashboard.css", "vendor/uplot.min.css", "charts.css")
SCRIPTS = ("vendor/uplot.min.js", "dashboard.js", "charts.js")


def report(view: RecommendationView) -> str:
    """The text of the file."""
    styles, scripts = [text_of(name) for name in STYLES], [text_of(name) for name in SCRIPTS]
    for name, text in zip((*STYLES, *SCRIPTS), (*styles, *scripts), strict=True):
        if "</" + ("style" if name in STYLES else "script") in text.lower():
            raise AssertionError(f"{name} would end the element that contains it.")
    policy = (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
    template = environment().get_template("report.html")
    return template.render(
        view=view, styles=styles, scripts=scripts, policy=policy, written_at=utc_now()
    )


def _hashes(texts: list[str]) -> str:
    """The sources of inline text, as a content security policy names them."""
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
