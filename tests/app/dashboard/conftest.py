"""A browser's view of the service: pages asked for as a browser asks for them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import httpx
import pytest

from app.database import Database
from app.http.caller import Scope
from app.keys import service as keys

HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def pages(serve) -> Iterator[httpx.Client]:
    """Of a service without keys."""
    with httpx.Client(base_url=serve(), headers=HTML, verify=False, timeout=30) as client:
        yield client


@pytest.fixture
def locked(serve) -> Iterator[httpx.Client]:
    """Of a service that asks for keys."""
    with httpx.Client(
        base_url=serve(needs_keys=True), headers=HTML, verify=False, timeout=30
    ) as client:
        yield client


def token_in(page: str) -> str:
    """What the forms of a page carry."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found, page
    return found[1]


def log_in(client: httpx.Client, database: Database, scope: Scope) -> None:
    _, key = keys.create(database, scope)
    form = {"csrf_token": token_in(client.get("/login").text), "key": key, "next": "/"}
    answer = client.post("/login", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


class Elements(HTMLParser):
    """Names and attributes of everything in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]
