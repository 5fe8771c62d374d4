"""What an attacker tries against a service, all at once and in the places that others forget."""

from __future__ import annotations

import logging
import socket
import threading
from urllib.parse import quote, urlsplit

import httpx
import psutil
import pytest

from app.keys import service as keys
from app.service import serve as serving
from tests.app import factories
from tests.app.conftest import KINDS
from tests.app.one_kind import kind  # noqa: F401
from tests.app.serving import problem

MIB = 2**20
JSON = {"Content-Type": "application/json"}
LEAST_MEMORY = 30 * MIB
"""What the interpreter may take for itself meanwhile."""

SQL = ["' OR '1'='1", "'; DROP TABLE tonnage_studies; --", '" UNION SELECT token_hash', "%' --"]
PATHS = ["../../../etc/passwd", "..\\..\\windows", "/etc/passwd", "file:///etc/passwd", "a.b:C"]


def rss() -> int:
    return psutil.Process().memory_info().rss


def connect(url: str) -> socket.socket:
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=30)


def answer_to(connection: socket.socket) -> bytes:
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


@pytest.fixture
def locked(serve):
    with httpx.Client(base_url=serve(needs_keys=True), verify=False, timeout=30) as client:
        yield client


class TestKeys:
    def test_a_key_in_the_wrong_place_opens_nothing(self, locked, with_key):
        token = with_key("admin")["Authorization"].split()[1]
        places = [
            {"params": {"key": token}},
            {"params": {"access_token": token}},
            {"headers": {"Cookie": f"key={token}"}},
            {"headers": {"X-API-Key": token}},
            {"headers": {"Authorization": f"Basic {token}"}},
            {"headers": {"Authorization": token}},
        ]
        for place in places:
            problem(locked.get("/v1/devices", **place), 401, "not-authenticated")

    def test_two_keys_in_one_request_are_not_tried_one_after_the_other(self, locked, with_key):
        good = with_key("admin")["Authorization"]
        both = [("Authorization", "Bearer tng_" + "A" * 43), ("Authorization", good)]
        problem(locked.get("/v1/devices", headers=both), 401, "not-authenticated")

    @pytest.mark.parametrize(
        "token",
        ["tng_", "tng_" + "é" * 43, "tng_" + "A" * 42, "tng_" + "A" * 44, *SQL, *PATHS],
    )
    def test_what_is_no_key_is_refused_in_the_same_words(self, locked, token):
        header = {"Authorization": f"Bearer {token}".encode()}
        document = problem(locked.get("/v1/devices", headers=header), 401, "not-authenticated")
        assert document["detail"] in (
            "The request carries no key.",
            "The key is unknown or revoked.",
        )

    def test_the_hash_that_is_stored_is_no_key(self, locked, database):
        _, token = keys.create(database, "admin")
        header = {"Authorization": f"Bearer {keys.hashed(token)}"}
        problem(locked.get("/v1/devices", headers=header), 401, "not-authenticated")

    def test_revoked_while_connected_it_ends_with_the_next_request(self, locked, database):
        key, token = keys.create(database, "run")
        locked.headers["Authorization"] = f"Bearer {token}"
        statuses = [locked.get("/v1/devices").status_code for _ in range(3)]
        keys.revoke(database, key.id)
        post = {"workload": "transformer"}
        assert statuses == [200] * 3
        problem(locked.post("/v1/studies", json=post), 401, "not-authenticated")

    def test_every_writing_path_asks_for_its_scope(self, locked, with_key):
        """So that a new one cannot forget to."""
        reader = with_key("read")
        asked = 0
        for path, operations in locked.get("/openapi.json").json()["paths"].items():
            for method in operations.keys() - {"get"}:
                plain = path.replace("{study_id}", "st_none")
                answer = locked.request(method, plain, json={}, headers=reader)
                problem(answer, 403, "scope-missing")
                asked += 1
        assert asked >= 5

    def test_a_key_is_in_no_log_and_no_answer_even_when_the_service_fails(
        self, locked, with_key, caplog, monkeypatch
    ):
        token = with_key("admin")["Authorization"].split()[1]
        header = {"Authorization": f"Bearer {token}"}

        def fails(*_arguments, **_named):
            raise RuntimeError("a bug")

        monkeypatch.setattr("app.devices.repository.page", fails)
        with caplog.at_level(logging.DEBUG):
            said = [
                locked.get("/v1/devices", headers=header),
                locked.get(f"/v1/studies/{token}", headers=header),
                locked.post("/v1/studies", content=b"{", headers={**header, **JSON}),
            ]
        assert [answer.status_code for answer in said] == [500, 422, 400]
        ours = [each for each in caplog.records if each.name.split(".")[0] in ("app", "uvicorn")]
        logged = "\n".join(f"{each.getMessage()} {each.exc_text}" for each in ours)
        assert "a bug" in logged
        assert "a bug" not in said[0].text
        # A key in a path is where nobody puts one; what is asked for is said back, and no more.
        assert token not in said[0].text + said[2].text
        lines = [line for line in logged.splitlines() if token in line]
        assert all(f"/v1/studies/{token}" in line for line in lines)


class TestInjection:
    @pytest.fixture(params=KINDS)
    def kind(self, request):
        return request.param

    @pytest.mark.parametrize("text", [*SQL, *PATHS])
    def test_in_every_field_of_a_study(self, api, text):
        fields = [
            {"workload": text},
            {"workload": "transformer", "budget": text},
            {"workload": "transformer", "device": text},
            {"workload": "transformer", "options": {text: 1}},
            {"workload": "transformer", "options": {"text_file": text}},
            {"workload": "transformer", "pinned": {text: text}},
            {"workload": "transformer", "levers": [text]},
        ]
        for body in fields:
            answer = api.post("/v1/studies", json=body)
            assert answer.status_code in (202, 403, 422), answer.text
            if answer.status_code == 202:  # a name that is compared, and that nothing has
                assert body.keys() & {"device", "pinned"}
        assert api.get("/v1/studies").status_code == 200

    @pytest.mark.parametrize("text", [*SQL, *PATHS])
    def test_in_every_filter_cursor_and_header(self, api, text):
        pages = {
            "studies": ("workload", "budget", "cursor", "state"),
            "measurements": ("workload", "fingerprint", "verdict", "study_id", "cursor"),
            "recommendations": ("workload", "budget", "device", "fingerprint", "study_id"),
            "checks": ("workload", "verdict", "fingerprint"),
            "devices": ("kind", "class_key"),
        }
        for path, names in pages.items():
            for name in names:
                answer = api.get(f"/v1/{path}", params={name: text})
                refusals = (404, 422) if name == "budget" else (422,)
                assert answer.status_code in (200, *refusals), (path, name, answer.text)
                assert answer.status_code in refusals or answer.json()["items"] == []
        looked = api.get(
            "/v1/recommendations/lookup", params={"workload": text, "budget": text, "device": text}
        )
        assert looked.status_code in (404, 422)
        header = {"Idempotency-Key": text.replace(" ", "_")}
        assert api.post("/v1/studies", json={"workload": "no"}, headers=header).status_code == 403
        watched = api.get("/v1/studies/st_1/events", headers={"Last-Event-ID": text})
        problem(watched, 422, "invalid-request")
        tagged = api.get("/v1/devices", headers={"If-None-Match": text})
        assert tagged.status_code == 200

    @pytest.mark.parametrize("text", PATHS)
    def test_an_export_reads_no_file(self, api, text):
        for path in (
            f"{quote(text, safe='')}/exports/json",
            f"rec_1/exports/{quote(text, safe='')}",
        ):
            answer = api.get(f"/v1/recommendations/{path}")
            assert answer.status_code in (404, 422)
            assert "root:" not in answer.text

    def test_what_is_stored_of_a_client_comes_back_as_text_and_runs_nowhere(self, api):
        script = "<script>alert(1)</script>"
        run = factories.measurement().to_dict() | {"workload": script, "reason": script}
        post = {"scope": {"workload_hash": "a1", "fingerprint": "f1"}, "measurement": run}
        stored = api.post("/v1/measurements", json=post)
        answer = api.get(stored.headers["location"])
        assert answer.json()["reason"] == script
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


class TestMemory:
    def test_100_mib_bodies_of_many_clients_at_once(self, serve):
        url = serve()
        head = (
            "POST /v1/measurements HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
            f"\r\nContent-Length: {100 * MIB}\r\n\r\n"
        )
        before = rss()
        statuses = []

        def send() -> None:
            with connect(url) as connection:
                connection.sendall(head.encode())
                statuses.append(answer_to(connection)[:12])

        clients = [threading.Thread(target=send) for _ in range(16)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(60)
        assert statuses == [b"HTTP/1.1 413"] * 16
        assert rss() - before < LEAST_MEMORY

    def test_a_length_that_lies_or_makes_no_sense(self, serve):
        url = serve()
        for length in ("-1", "1e9", "0x10", "9" * 4000, "10, 20"):
            with connect(url) as connection:
                head = f"POST /v1/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}"
                connection.sendall(f"{head}\r\n\r\n{{}}".encode())
                assert answer_to(connection)[:10] in (b"HTTP/1.1 4", b"")
        assert httpx.get(f"{url}/healthz").status_code == 200

    @pytest.mark.parametrize("shape", ["[", '{"a":'])
    def test_10_000_levels_in_every_body(self, api, shape):
        close = {"[": "]", '{"a":': "}"}[shape]
        text = shape * 10_000 + "1" + close * 10_000
        for path in ("/v1/studies", "/v1/measurements", "/v1/devices"):
            for body in (text, f'{{"options": {text}}}'):
                answer = api.post(path, content=body.encode(), headers=JSON)
                assert answer.status_code in (400, 422), answer.text[:500]
                assert answer.headers["content-type"] == "application/problem+json"
                assert len(answer.content) < 20_000

    def test_a_wide_body_is_refused_as_a_whole(self, api):
        """And not with one error for each of a hundred thousand fields, which takes seconds."""
        many = {f"field{number}": [] for number in range(100_000)}
        run = factories.measurement().to_dict()
        scope = {"workload_hash": "a1", "fingerprint": "f1"}
        wrong = ["x"] * 100_000
        bodies = [
            ("/v1/studies", many),
            ("/v1/studies", {"workload": "transformer", "options": many}),
            ("/v1/studies", {"workload": "transformer", "levers": [1] * 100_000}),
            ("/v1/measurements", {"scope": {**scope, "environment": many}, "measurement": run}),
            ("/v1/measurements", {"scope": scope, "measurement": {**run, "config": many}}),
            ("/v1/measurements", {"scope": scope, "measurement": {**run, "notes": [1] * 100_000}}),
            (
                "/v1/measurements",
                {"scope": scope, "measurement": {**run, "trace": {"step_s": wrong}}},
            ),
        ]
        for path, body in bodies:
            document = problem(api.post(path, json=body), 422, "invalid-request")
            assert len(document["errors"]) <= 2, (path, document["errors"])

    def test_a_number_of_a_million_digits(self, api):
        for number in ("9" * 1_000_000, "1e999999", "-" + "9" * 100_000):
            body = b'{"workload": "transformer", "trials": ' + number.encode() + b"}"
            answer = api.post("/v1/studies", content=body, headers=JSON)
            assert answer.status_code in (400, 422)
            assert len(answer.content) < 20_000

    def test_compressed_bodies_are_not_unpacked(self, api):
        header = {**JSON, "Content-Encoding": "gzip"}
        answer = api.post("/v1/studies", content=b"\x1f\x8b" + b"\0" * 1000, headers=header)
        problem(answer, 400, "malformed-body")

    def test_floods_of_headers_one_after_the_other(self, serve):
        url = serve()
        before = rss()
        flood = b"".join(b"X-%d: %s\r\n" % (number, b"y" * 1000) for number in range(1000))
        for _ in range(20):
            with connect(url) as connection:
                try:
                    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + flood)
                    answer = answer_to(connection)
                except ConnectionError:
                    continue
                assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
        assert rss() - before < LEAST_MEMORY
        assert httpx.get(f"{url}/healthz").status_code == 200


class TestSlowClients:
    def test_many_that_never_finish_keep_nobody_out(self, serve, monkeypatch):
        monkeypatch.setattr(serving, "HEAD_TIMEOUT_S", 0.5)
        url = serve(max_connections=64)
        slow = [connect(url) for _ in range(40)]
        for connection in slow:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        try:
            assert httpx.get(f"{url}/healthz").status_code == 200
            assert [answer_to(connection) for connection in slow] == [b""] * 40  # all given up
        finally:
            for connection in slow:
                connection.close()

    def test_one_byte_at_a_time_does_not_move_the_deadline(self, serve):
        url = serve(body_timeout_s=0.5)
        with connect(url) as connection:
            head = "POST /v1/studies HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
            connection.sendall(f"{head}\r\nContent-Length: 1000\r\n\r\n".encode())
            sent = 0
            connection.settimeout(0.05)
            answer = b""
            while not answer and sent < 1000:
                connection.sendall(b" ")
                sent += 1
                try:
                    answer = connection.recv(65536)
                except TimeoutError:
                    continue
        assert answer.startswith(b"HTTP/1.1 408")
        assert sent < 1000

    def test_who_does_not_read_an_event_stream_holds_up_nobody(self, serve, database):
        from app.studies import service as jobs
        from app.tuning.request import StudyRequest

        job = jobs.submit(database, StudyRequest(workload="transformer"))
        url = serve(max_connections=32, event_poll_s=1.0)
        deaf = []
        for _ in range(20):
            connection = connect(url)
            head = f"GET /v1/studies/{job.id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
            connection.sendall(head.encode())
            deaf.append(connection)
        try:
            for _ in range(10):
                assert httpx.get(f"{url}/v1/devices", timeout=30).status_code == 200
        finally:
            jobs.cancel(database, job.id)
            for connection in deaf:
                connection.close()
