"""The real service under uvicorn, on a free loopback port, in a thread of the test's process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import uvicorn

from app.database import Database
from app.http.caller import Scope
from app.http.runtime import Service
from app.keys import service as keys
from app.service.listen import listen, url_of
from app.service.serve import configuration
from app.settings import load_settings

START_TIMEOUT_S = 60


@contextmanager
def serving(database: Database, *, needs_keys: bool = False, **settings: Any) -> Iterator[str]:
    """The base URL of a service on this database. ``settings`` are keys of ``[service]``; two
    services of one database are what two processes of it are."""
    everything = load_settings(overrides={"service": {"event_poll_s": 0.02, **settings}})
    with running(Service(database, everything, needs_keys=needs_keys)) as url:
        yield url


@contextmanager
def running(service: Service) -> Iterator[str]:
    """The base URL of a service that runs until the block ends."""
    listener = listen("127.0.0.1", 0)
    server = _Server(configuration(service))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert server.is_up.wait(START_TIMEOUT_S)
    try:
        yield url_of(listener)
    finally:
        server.should_exit = True
        thread.join(START_TIMEOUT_S)
        listener.close()


@contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    """The URL of a web server that is none of ours, and says the same to everybody."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *words: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(START_TIMEOUT_S)


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = threading.Event()

    async def startup(self, *arguments: Any, **named: Any) -> None:
        await super().startup(*arguments, **named)
        self.is_up.set()


Serve = Callable[..., str]


@pytest.fixture
def serve(database: Database) -> Iterator[Serve]:
    """Starts services on the test's database; they end with the test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(serving(database, **options))


@pytest.fixture
def start_service() -> Iterator[Callable[[Service], str]]:
    """Runs services as they are given; they end with the test."""
    with ExitStack() as stack:
        yield lambda service: stack.enter_context(running(service))


@pytest.fixture
def api(serve: Serve) -> Iterator[httpx.Client]:
    """Of a service without keys. It speaks plain HTTP: reading every certificate authority for each
    test would take longer than most of them."""
    with httpx.Client(base_url=serve(), verify=False, timeout=30) as client:
        yield client


@pytest.fixture
def with_key(database: Database) -> Callable[[Scope], dict[str, str]]:
    """Makes a key; gives the header that carries it."""

    def make(scope: Scope) -> dict[str, str]:
        _, token = keys.create(database, scope)
        return {"Authorization": f"Bearer {token}"}

    return make


def problem(answer: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The problem document of an answer, checked for what every one of them must be."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"].endswith(f"#{kind}"), document
    assert document["status"] == status
    assert document["instance"] == answer.request.url.path
    assert document["request_id"] == answer.headers["x-request-id"]
    assert document["title"]
    assert document["detail"]
    assert document["what_to_do"]
    return document
