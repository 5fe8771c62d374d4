"""What is too large or too slow is refused, and costs nothing."""

from __future__ import annotations

import json
import socket
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from app.service import serve as serving
from tests.app import factories
from tests.app.one_kind import kind  # noqa: F401
from tests.app.serving import problem

MIB = 2**20
JSON = {"Content-Type": "application/json"}


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def answer_to(connection: socket.socket) -> bytes:
    """Everything until the service hangs up."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def test_100_mib_are_refused_before_they_are_read(serve):
    url = serve()
    before = psutil.Process().memory_info().rss
    with connect(url) as connection:
        head = "POST /v1/measurements HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
        connection.sendall(f"{head}\r\nContent-Length: {100 * MIB}\r\n\r\n".encode())
        answer = answer_to(connection)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"body-too-large" in answer
    assert psutil.Process().memory_info().rss - before < 20 * MIB


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(serve):
    url = serve(max_body_bytes=MIB)
    sent = 0

    def endless():
        nonlocal sent
        for _ in range(100):
            sent += MIB
            yield b"x" * MIB

    try:
        answer = httpx.post(f"{url}/v1/measurements", content=endless(), headers=JSON, timeout=30)
    except httpx.WriteError:  # it hung up before all was sent
        answer = None
    assert sent < 100 * MIB
    if answer is not None:
        problem(answer, 413, "body-too-large")


def test_a_body_at_the_limit_is_read(serve):
    url = serve(max_body_bytes=2048)
    body = json.dumps({"workload": "no-such"}).ljust(2048).encode()
    assert httpx.post(f"{url}/v1/studies", content=body, headers=JSON).status_code == 403
    answer = httpx.post(f"{url}/v1/studies", content=body + b" ", headers=JSON)
    problem(answer, 413, "body-too-large")


@pytest.mark.parametrize("levels", [17, 900, 10_000])
def test_deeply_nested_json_is_refused(api, levels):
    post = {
        "scope": {"workload_hash": "a1", "fingerprint": "f1"},
        "measurement": factories.measurement().to_dict(),
    }
    text = json.dumps(post).replace(
        '"state": {}', '"state": ' + '{"a":' * levels + "1" + "}" * levels
    )
    answer = api.post("/v1/measurements", content=text.encode(), headers=JSON)
    assert answer.status_code in (400, 422), answer.text
    assert api.get("/v1/measurements").json()["items"] == []


def test_a_body_that_never_ends_is_given_up(serve):
    url = serve(body_timeout_s=0.2)
    with connect(url) as connection:
        head = b"POST /v1/studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(head + b"Content-Length: 100\r\n\r\n{")
        answer = answer_to(connection)
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"request-timeout" in answer


def test_headers_that_never_end_are_given_up(serve, monkeypatch):
    monkeypatch.setattr(serving, "HEAD_TIMEOUT_S", 0.2)
    url = serve()
    for beginning in (b"", b"GET /healthz HTTP/1.1\r\nHost: loc"):
        with connect(url) as connection:
            connection.sendall(beginning)
            assert answer_to(connection) == b""


def test_a_request_that_is_under_way_is_not_cut_off(serve, monkeypatch):
    monkeypatch.setattr(serving, "HEAD_TIMEOUT_S", 0.2)
    url = serve(body_timeout_s=0.6)
    with connect(url) as connection:
        head = b"POST /v1/studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(head + b"Content-Length: 100\r\n\r\n{")
        assert answer_to(connection).startswith(b"HTTP/1.1 408")  # and so not hung up before


def test_a_flood_of_headers_is_refused(serve):
    url = serve()
    with connect(url) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
        flood = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(2000))
        try:
            connection.sendall(flood + b"\r\n")
            answer = answer_to(connection)
        except ConnectionError:
            answer = b""
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert httpx.get(f"{url}/healthz").status_code == 200


def test_more_connections_than_allowed_are_turned_away_and_the_rest_is_served(serve):
    url = serve(max_connections=4)
    silent = [connect(url) for _ in range(6)]
    try:
        assert httpx.get(f"{url}/healthz").status_code == 503
    finally:
        for connection in silent:
            connection.close()
    with httpx.Client(transport=httpx.HTTPTransport(retries=3)) as client:
        statuses = {client.get(f"{url}/healthz").status_code for _ in range(20)}
    assert 200 in statuses
