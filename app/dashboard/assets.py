"""Stylesheets and scripts from the package.

An address contains a hash of the file, so that a browser can cache it for ever and never shows an
old version.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from starlette.responses import Response

from app.http import problem_types as types
from app.http.problems import HttpProblem
from app.http.resource import pages

PREFIX = "/assets/"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
FOR_EVER = "public, max-age=31536000, immutable"
FRAMED = ("dashboard.css", "diagram.css", "diagram.js", "vendor/mermaid.tiny.min.js")
"""What a sandboxed frame loads (``app.dashboard.diagram``). To a browser it has no origin, so that
these files, which tell nothing, must be allowed to every one."""

router = pages(None)


@dataclass(frozen=True)
class Asset:
    """A file that is served."""

    name: str
    content: bytes
    media_type: str

    @property
    def path(self) -> str:
        return f"{PREFIX}{hashlib.sha256(self.content).hexdigest()[:12]}/{self.name}"


@cache
def assets() -> dict[str, Asset]:
    """Every asset by path. Nothing else can be requested."""
    found = _below(files("app.dashboard").joinpath("static"), "")
    return {asset.path: asset for asset in found}


@cache
def path_of(name: str) -> str:
    """The path of a file such as ``dashboard.css`` or ``vendor/htmx.min.js``."""
    return next(asset.path for asset in assets().values() if asset.name == name)


def text_of(name: str) -> str:
    """The content of a file, for pages that contain everything they need."""
    return assets()[path_of(name)].content.decode()


@router.get(PREFIX + "{rest:path}")
def asset(rest: str) -> Response:
    found = assets().get(PREFIX + rest)
    if found is None:
        raise HttpProblem(types.NOT_FOUND, "There is no such asset. Reload the page.")
    headers = {"Cache-Control": FOR_EVER, "Content-Type": found.media_type}
    if found.name in FRAMED:
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return Response(found.content, headers=headers)


def _below(folder: Traversable, prefix: str) -> list[Asset]:
    found: list[Asset] = []
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        suffix = "." + entry.name.rpartition(".")[2]
        if entry.is_dir():
            found += _below(entry, f"{prefix}{entry.name}/")
        elif suffix in MEDIA_TYPES:
            found.append(Asset(prefix + entry.name, entry.read_bytes(), MEDIA_TYPES[suffix]))
    return found
