"""What machines ask a service."""

from __future__ import annotations

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text

from app.database import migrate
from app.database.models.results import StudyRow
from app.measurements import service as measurements
from app.service.head import Head
from app.studies import service as jobs
from app.tuning import service as studies
from app.tuning.request import StudyRequest
from probes.measurement import Verdict
from tests.app import factories
from tests.app.serving import problem


def samples(client: httpx.Client) -> dict[tuple[str, frozenset], float]:
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def sample(found, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


def test_alive_and_ready(api):
    assert api.get("/healthz").json() == {"status": "ok"}
    assert api.get("/readyz").json() == {"status": "ok"}


@pytest.mark.parametrize("path", ["/healthz", "/v1/studies", "/", "/openapi.json", "/metrics"])
def test_head_has_the_headers_of_get_and_no_body(api, path):
    header = {"Accept": "text/html" if path == "/" else "*/*"}
    head, get = api.head(path, headers=header), api.get(path, headers=header)
    assert (head.status_code, head.content) == (get.status_code, b"") == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]
    if path == "/openapi.json":  # others differ in length each time, and may be compressed or not
        assert head.headers["content-encoding"] == get.headers["content-encoding"] == "gzip"
    if path.startswith("/v1/"):  # a page differs each time
        assert head.headers["etag"] == get.headers["etag"]


def test_head_of_what_does_not_exist_or_takes_no_get(api):
    assert api.head("/v1/studies/st_none").status_code == 404
    refused = api.head("/v1/studies/st_none/cancel")
    assert refused.status_code == 405


def test_head_of_a_stream_ends_at_once(api, database):
    job = jobs.submit(database, StudyRequest(workload="transformer"))
    answer = api.head(f"/v1/studies/{job.id}/events", timeout=10)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert api.get("/healthz").status_code == 200


async def _stream_in_tasks(scope, receive, send):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_stream, send)
        await anyio.sleep(60)


async def _stream(send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"1", "more_body": True})


def test_head_ends_a_stream_that_runs_in_several_tasks():
    sent = []

    async def send(message):
        sent.append(message["type"])

    scope = {"type": "http", "method": "HEAD", "headers": []}
    anyio.run(Head(_stream_in_tasks), scope, None, send)
    assert sent == ["http.response.start", "http.response.body"]


def test_a_database_at_another_version_is_not_ready_and_yet_alive(api, database):
    with database.write() as session:
        session.execute(text(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '0001'"))
    document = problem(api.get("/readyz"), 503, "unavailable")
    assert "tonnage db upgrade" in document["detail"]
    assert api.get("/healthz").status_code == 200


def test_a_database_of_a_newer_release_asks_for_a_newer_service(api, database):
    with database.write() as session:
        session.execute(text(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '9999'"))
    detail = problem(api.get("/readyz"), 503, "unavailable")["detail"]
    assert "install that version" in detail
    assert "db upgrade" not in detail


def test_metrics_say_what_is_stored_and_queued(api, database):
    spec = factories.spec()
    study, _ = studies.open_study(database, spec)
    studies.finish(database, study.id, factories.recommendation(), wall_s=12.5)
    measurements.record(database, spec.scope, factories.measurement())
    measurements.record(database, spec.scope, factories.measurement(9, Verdict.OOM))
    measurements.record(database, spec.scope, factories.measurement(10, Verdict.OOM))
    jobs.submit(database, StudyRequest(workload="transformer"))
    found = samples(api)
    assert sample(found, "tonnage_studies", state="finished") == 1
    assert sample(found, "tonnage_studies", state="queued") == 1
    assert sample(found, "tonnage_queue_depth") == 1
    assert sample(found, "tonnage_probes", verdict="oom") == 2
    assert sample(found, "tonnage_probes", verdict="stable") == 1
    device = {"fingerprint": spec.scope.fingerprint, "device": "cpu"}
    assert sample(found, "tonnage_device_busy_seconds_total", **device) == 12.5
    with database.write() as session:  # as where a job had run longer than is stored of it
        session.get_one(StudyRow, study.id).wall_s = 11.0
    assert sample(samples(api), "tonnage_device_busy_seconds_total", **device) == 12.5


def test_metrics_count_requests_by_route_and_not_by_id(api):
    for number in range(3):
        api.get(f"/v1/studies/st_{number}")
    api.get("/v1/nothing")
    found = samples(api)
    route = {"method": "GET", "route": "/v1/studies/{study_id}"}
    assert sample(found, "tonnage_http_requests_total", status="404", **route) == 3
    assert sample(found, "tonnage_http_request_duration_seconds_count", **route) == 3
    unmatched = {"method": "GET", "route": "unmatched", "status": "404"}
    assert sample(found, "tonnage_http_requests_total", **unmatched) == 1


def test_words_that_are_no_methods_make_no_series(api):
    for number in range(3):
        api.request(f"WORD{number}", "/v1/devices")
    found = samples(api)
    labels = {"method": "other", "route": "/v1/devices", "status": "405"}
    assert sample(found, "tonnage_http_requests_total", **labels) == 3


def test_two_services_count_apart(serve):
    first, second = serve(), serve()
    httpx.get(f"{first}/healthz")
    with httpx.Client(base_url=second) as client:
        assert not [key for key in samples(client) if "/healthz" in dict(key[1]).values()]
