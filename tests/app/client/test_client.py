"""The client against the real service over loopback."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from app.client import (
    Client,
    ConflictError,
    NotAllowedError,
    NotFoundError,
    ProblemError,
    TooManyRequestsError,
    UnavailableError,
)
from app.client.events import parse
from app.client.transport import ATTEMPTS, Transport
from app.jobs import repository as jobs
from app.knowledge import service as knowledge
from app.measurements import service as measurements
from app.tuning import service as studies
from probes.devices.fingerprint import Fingerprint
from probes.errors import InputError
from tests.app import factories
from tests.app.jobs.conftest import add_event
from tests.app.one_kind import kind  # noqa: F401
from tests.app.serving import answering
from tests.app.studies.test_routes import end, run


@pytest.fixture
def client(serve) -> Iterator[Client]:
    with Client(serve()) as client:
        yield client


@pytest.fixture
def recommended(database):
    study, _ = studies.open_study(database, factories.spec())
    studies.finish(database, study.id, factories.recommendation())
    return study.id


def test_a_study_from_start_to_end(client, database):
    study = client.start_study("transformer", budget="smoke_test", trials=2)
    assert study.state == "queued"
    assert client.study(study.id).request["trials"] == 2
    run(database, study.id)
    kinds = []
    for event in client.events(study.id):
        kinds.append(event.kind)
        if event.kind == "started":
            end(database, study.id)
    assert kinds == ["queued", "started", "finished"]
    assert client.wait(study.id).state == "finished"
    assert client.trials(study.id) == []
    assert [each.id for each in client.studies(state="finished")] == [study.id]
    client.delete_study(study.id)
    with pytest.raises(NotFoundError):
        client.study(study.id)


def test_cancelling(client):
    study = client.start_study("transformer")
    assert client.cancel_study(study.id).state == "cancelled"


def test_recommendations(client, recommended):
    made = factories.recommendation()
    read = client.recommendation(made.id)
    assert (read.batch_size, read.config) == (made.batch_size, made.config)
    assert [each.id for each in client.recommendations(study_id=recommended)] == [made.id]
    assert "--batch-size 96" in client.export(made.id, "args")
    found = client.lookup(made.workload, made.budget, fingerprint="f" * 16)
    assert found.recommendation is not None
    assert found.recommendation.id == made.id
    prior = client.lookup(made.workload, made.budget, kind="cpu", memory_bytes=2**30)
    assert (prior.match, prior.recommendation) == ("prior", None)
    assert prior.prior is not None


def test_sending_measurements(client, database):
    fingerprint = Fingerprint({"model": "H200"}, {"total_bytes": 100})
    device = client.add_device(fingerprint, kind="cuda", name="H200")
    sent = factories.measurement()
    stored = client.add_measurement(sent, workload_hash="a1", fingerprint=device.key)
    found = client.measurement(stored.id)
    assert (found.batch_size, found.fingerprint) == (sent.batch_size, fingerprint.key)
    assert client.device(device.key).name == "H200"
    for _ in range(2):
        client.add_measurement(
            factories.measurement(9), workload_hash="a1", fingerprint="f1", idempotency_key="once"
        )
    assert [each.batch_size for each in client.measurements()] == [9, 8]


def test_listings_are_read_page_by_page(client, database):
    for number in range(401):
        measurements.record(database, factories.scope(), factories.measurement(number + 1))
    found = [each.batch_size for each in client.measurements()]
    assert found == list(range(401, 0, -1))


def test_the_rest_of_the_service(client, recommended):
    assert [each.workload for each in client.workloads()] == ["train.py:Net"]
    assert "transformer" in {each.name for each in client.registered_workloads()}
    assert [each.kind for each in client.devices(kind="cpu")] == ["cpu"]
    assert list(client.checks()) == []
    assert client.prediction_errors() == []
    with pytest.raises(NotFoundError):
        client.check("chk_none")


def test_knowledge(client, database):
    made = knowledge.record(database, factories.evidence())
    names = [each.name for each in client.knowledge_pages(type="heuristic")]
    name = next(each for each in names if each.endswith("Gradient_Checkpointing"))
    page = client.knowledge_page(name)
    assert (page.name, page.is_builtin) == (name, True)
    assert name in {node.name for node in client.knowledge_graph(name).nodes}
    assert name in {each.name for each in client.search_knowledge("activation checkpointing")}
    assert [each.id for each in client.evidence(verdict="refuted")] == [made.id]
    assert list(client.evidence(page=name)) == []
    started = client.measure_claims(name, device="cuda:0")
    assert {job.id for job in started} == {job.id for job in client.ablations(state="queued")}
    assert client.ablation(started[0].id).evidence == []
    assert client.cancel_ablation(started[0].id).state == "cancelled"


def test_errors_can_be_told_apart(client, serve, with_key):
    with pytest.raises(NotFoundError) as missing:
        client.study("st_none")
    assert (missing.value.kind, missing.value.status) == ("not-found", 404)
    assert missing.value.request_id in str(missing.value)
    with pytest.raises(NotAllowedError) as refused:
        client.start_study("train.py:Net")
    assert refused.value.kind == "workload-not-registered"
    with pytest.raises(ProblemError) as wrong:
        client.start_study("transformer", trials=0)
    assert wrong.value.errors[0].field == "body.trials"
    with pytest.raises(ConflictError):
        client.start_study("transformer", idempotency_key="k")
        client.start_study("transformer", idempotency_key="k", trials=9)
    locked = serve(needs_keys=True)
    with Client(locked) as nobody, pytest.raises(NotAllowedError) as keyless:
        list(nobody.devices())
    assert "--api-key" in str(keyless.value)
    assert keyless.value.exit_code == 2
    key = with_key("read")["Authorization"].split()[1]
    with Client(locked, key) as somebody:
        assert list(somebody.devices()) == []


def test_a_service_that_is_not_there():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with Client(url) as client:
        client._transport.pause = lambda _seconds: None
        with pytest.raises(UnavailableError, match="does not answer"):
            client.study("st_1")


@pytest.mark.parametrize("body", [b"", b"null", b'"hi"', b'{"id": NaN}', b"{}", b"[{}]"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.study("st_1"),
        lambda client: client.start_study("transformer"),
        lambda client: client.trials("st_1"),
        lambda client: list(client.studies()),
        lambda client: client.cancel_study("st_1"),
        lambda client: client.add_run(),
    ],
)
def test_what_is_not_from_a_service_is_no_answer(ask, body):
    with (
        answering(200, body) as url,
        Client(url) as client,
        pytest.raises(UnavailableError, match="not from a Tonnage service"),
    ):
        ask(client)


class _Scripted:
    """A transport whose answers are given; it counts what was sent."""

    def __init__(self, answers: list[httpx.Response | Exception]) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []
        self.transport = Transport("http://test", None, 1.0, self.pauses.append)
        self.transport._http = httpx.Client(
            base_url="http://test", transport=httpx.MockTransport(self.answer)
        )

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        given = self.answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given


def lost() -> Exception:
    return httpx.ConnectError("connection lost")


class TestTryingAgain:
    def test_a_read_is_repeated_until_it_is_answered(self):
        scripted = _Scripted([lost(), httpx.Response(503), httpx.Response(200, json=[1])])
        assert scripted.transport.json("GET", "/x") == [1]
        assert len(scripted.pauses) == 2

    def test_it_waits_as_long_as_it_is_told(self):
        busy = httpx.Response(429, headers={"Retry-After": "3"})
        scripted = _Scripted([busy, httpx.Response(200, json=1)])
        scripted.transport.json("GET", "/x")
        assert scripted.pauses == [3.0]

    def test_it_gives_up_and_says_why(self):
        scripted = _Scripted([httpx.Response(429, headers={"Retry-After": "1"})] * ATTEMPTS)
        with pytest.raises(TooManyRequestsError) as caught:
            scripted.transport.json("GET", "/x")
        assert caught.value.retry_after_s == 1.0

    def test_what_might_be_done_twice_is_not_repeated(self):
        scripted = _Scripted([lost()])
        with pytest.raises(UnavailableError):
            scripted.transport.json("POST", "/x", body={})
        assert len(scripted.requests) == 1

    def test_cancelling_twice_changes_nothing_so_it_is_repeated(self, monkeypatch):
        scripted = _Scripted([lost(), httpx.Response(404, json={"type": "x#not-found"})])
        client = Client()
        monkeypatch.setattr(client, "_transport", scripted.transport)
        with pytest.raises(NotFoundError):
            client.cancel_study("st_1")
        assert len(scripted.requests) == 2

    def test_with_a_key_it_is_repeated_under_the_same_key(self):
        scripted = _Scripted([lost(), httpx.Response(201, json={})])
        scripted.transport.json("POST", "/x", body={}, idempotency_key="k")
        assert [each.headers["idempotency-key"] for each in scripted.requests] == ["k", "k"]

    def test_an_answer_that_is_a_mistake_of_ours_is_not_repeated(self):
        scripted = _Scripted([httpx.Response(422, json={"type": "x#invalid-request"})])
        with pytest.raises(ProblemError) as caught:
            scripted.transport.json("GET", "/x")
        assert caught.value.kind == "invalid-request"

    @pytest.mark.parametrize(
        "answer",
        [
            httpx.Response(404, text="<h1>nginx</h1>"),
            httpx.Response(404, json={"type": "x", "title": 5, "errors": ["?"]}),
            httpx.Response(301, headers={"location": "https://example.org/"}),
            httpx.DecodingError("not gzip"),
        ],
    )
    def test_what_is_not_from_a_service_says_nothing_of_what_was_asked(self, answer):
        scripted = _Scripted([answer])
        with pytest.raises(UnavailableError) as caught:
            scripted.transport.json("GET", "/x")
        assert caught.value.exit_code == 3

    @pytest.mark.parametrize("url", ["http://[::1", "http://127.0.0.1\n", "127.0.0.1:8765"])
    def test_an_address_that_is_none(self, url):
        with pytest.raises(InputError):
            Client(url)

    @pytest.mark.parametrize("key", ["ü", "a\nb"])
    def test_a_key_that_no_header_can_carry(self, key):
        with pytest.raises(InputError):
            Client("http://127.0.0.1:8765", key)

    def test_a_page_of_a_proxy_is_an_error_too(self):
        scripted = _Scripted([httpx.Response(502, text="<html>Bad Gateway</html>")] * ATTEMPTS)
        with pytest.raises(UnavailableError):
            scripted.transport.json("GET", "/x")


class TestEvents:
    def test_a_lost_connection_is_taken_up_where_it_broke_off(self):
        from app.client.events import events as stream

        first = 'event: a\ndata: {"kind": "a", "created_at": "", "data": {}}\nid: 1\n\nevent: b\n'
        rest = 'event: b\ndata: {"kind": "b", "created_at": "", "data": {"x": 1}}\nid: 2\n\n'
        scripted = _Scripted(
            [
                httpx.Response(200, text=first),
                lost(),
                httpx.Response(200, text=": ping\n\n" + rest),
                httpx.Response(204),
            ]
        )
        found = list(stream(scripted.transport, "/events", 0))
        assert [(each.id, each.kind, each.data) for each in found] == [
            (1, "a", {}),
            (2, "b", {"x": 1}),
        ]
        asked = [each.headers["last-event-id"] for each in scripted.requests]
        assert asked == ["0", "1", "1", "2"]

    def test_an_answer_without_events_is_asked_for_again_only_so_often(self):
        from app.client.events import ATTEMPTS
        from app.client.events import events as stream

        scripted = _Scripted([httpx.Response(200) for _ in range(ATTEMPTS)])
        with pytest.raises(UnavailableError):
            list(stream(scripted.transport, "/events", 0))
        assert len(scripted.pauses) == ATTEMPTS - 1

    def test_a_service_with_nothing_to_tell_is_waited_for(self):
        from app.client.events import ATTEMPTS
        from app.client.events import events as stream

        quiet = [httpx.Response(200, text=": ping\n\n") for _ in range(2 * ATTEMPTS)]
        scripted = _Scripted([*quiet, httpx.Response(204)])
        assert list(stream(scripted.transport, "/events", 0)) == []
        assert len(scripted.pauses) == len(quiet), "and never without a pause"

    def test_an_event_that_is_none_of_ours(self):
        from app.client.events import events as stream

        scripted = _Scripted([httpx.Response(200, text="id: 1\ndata: {}\n\n")])
        with pytest.raises(UnavailableError):
            list(stream(scripted.transport, "/events", 0))

    def test_two_services_in_turn_lose_and_repeat_nothing(self, serve, database):
        """The client comes back to the same address; here it is told another one."""
        with Client(serve()) as client, Client(serve()) as other:
            study = client.start_study("transformer")
            seen = [next(client.events(study.id))]
            for number in range(3):
                add_event(database, study.id, "note", {"text": str(number)})
            threading.Thread(target=end, args=(database, study.id)).start()
            seen += list(other.events(study.id, after=seen[-1].id))
        assert [event.id for event in seen] == [1, 2, 3, 4, 5]
        with database.read() as session:
            assert jobs.get(session, study.id).last_event == 5

    def test_lines_of_a_stream(self):
        lines = [
            "retry: 5",
            ": comment",
            'data: {"kind": "k",',
            'data: "created_at": "", "data": {}}',
        ]
        assert [each.kind for each in parse([*lines, "id: 7", ""])] == ["k"]
        assert list(parse([*lines, "id: 7"])) == []  # cut off
