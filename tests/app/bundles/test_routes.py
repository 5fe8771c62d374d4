"""``/v1/bundles``, and who may send code."""

from __future__ import annotations

import random

import httpx
import pytest

from app.bundles import archive
from app.bundles.archive import Content
from app.bundles.packing import Bundle
from app.cli.fleet_studies import ServiceStudies
from app.client import Client
from app.client.errors import ProblemError
from app.http.runtime import Service
from app.settings import load_settings
from tests.app.one_kind import kind  # noqa: F401
from tests.app.serving import problem, running

PACKED = archive.pack([Content("train.py", b"class Net: ...")])
ID = archive.name_of(PACKED)
SENT = archive.compress(PACKED)
HEADERS = {"Content-Type": "application/octet-stream"}
ASKED = {"workload": "train.py:Net", "bundle": ID, "budget": "smoke_test"}


@pytest.fixture
def url(database, tmp_path):
    """A service with keys, whose host accepts bundles of 200,000 bytes."""
    settings = load_settings(
        overrides={
            "bundles": {"accept": True, "max_bytes": 200_000},
            "service": {"max_body_bytes": 4096},
            "runner": {"with_service": False},
            "data_dir": str(tmp_path / "data"),
        }
    )
    with running(Service(database, settings, needs_keys=True)) as url:
        yield url


@pytest.fixture
def http(url):
    with httpx.Client(base_url=url, verify=False, timeout=30) as client:
        yield client


def token(with_key, scope) -> str:
    return with_key(scope)["Authorization"].removeprefix("Bearer ")


def test_with_the_scope_code_it_is_sent_and_studied(url, with_key):
    with Client(url, token(with_key, "code")) as client:
        assert not client.has_bundle(ID)
        sent = client.send_bundle(ID, PACKED)
        assert (sent.id, sent.files, sent.size_bytes) == (ID, 1, len(PACKED))
        assert client.has_bundle(ID)
        assert client.send_bundle(ID, PACKED).created_at == sent.created_at
        ServiceStudies(client).send(Bundle(ID, PACKED, 1, 12))  # known: not sent again
        study = client.start_study("train.py:Net", bundle=ID, budget="smoke_test")
        assert (study.state, study.workload) == ("queued", "train.py:Net")


@pytest.mark.parametrize("scope", ["read", "run"])
def test_without_it_neither_is_possible(http, with_key, scope, database):
    own, code = with_key(scope), with_key("code")
    assert http.put(f"/v1/bundles/{ID}", content=SENT, headers={**code, **HEADERS}).is_success
    put = http.put(f"/v1/bundles/{ID}", content=SENT, headers={**own, **HEADERS})
    problem(put, 403, "scope-missing")
    problem(http.get(f"/v1/bundles/{ID}", headers=own), 403, "scope-missing")
    problem(http.post("/v1/studies", json=ASKED, headers=own), 403, "scope-missing")
    assert http.post("/v1/studies", json=ASKED, headers=code).status_code == 202


def test_a_service_without_keys_accepts_no_code(api):
    """Any program of any user of the machine could reach it."""
    put = api.put(f"/v1/bundles/{ID}", content=SENT, headers=HEADERS)
    document = problem(put, 403, "scope-missing")
    assert "keys create --scope code" in document["detail"]
    problem(api.post("/v1/studies", json=ASKED), 403, "scope-missing")


def test_created_first_and_known_after(http, with_key):
    own = {**with_key("code"), **HEADERS}
    statuses = [http.put(f"/v1/bundles/{ID}", content=SENT, headers=own).status_code for _ in "12"]
    assert statuses == [201, 200]


@pytest.mark.parametrize("sent", [b"junk", SENT[:-4], archive.compress(b"x" * 600)])
def test_what_is_not_the_bundle_is_refused(http, with_key, sent):
    answer = http.put(f"/v1/bundles/{ID}", content=sent, headers={**with_key("code"), **HEADERS})
    problem(answer, 409, "bundle-refused")


def test_only_who_may_send_code_may_send_much(http, with_key):
    noise = archive.pack([Content("data.bin", random.Random(1).randbytes(100_000))])
    path, sent = f"/v1/bundles/{archive.name_of(noise)}", archive.compress(noise)
    code = {**with_key("code"), **HEADERS}
    problem(
        http.put(path, content=sent, headers={**with_key("run"), **HEADERS}), 413, "body-too-large"
    )
    assert http.put(path, content=sent, headers=code).status_code == 201
    problem(http.post("/v1/studies", content=sent, headers=code), 413, "body-too-large")
    problem(http.put(path, content=b"x" * 300_000, headers=code), 413, "body-too-large")


def test_a_bundle_that_expired_is_asked_for_again(http, with_key):
    answer = http.post("/v1/studies", json=ASKED, headers=with_key("code"))
    assert "Send it again" in problem(answer, 404, "not-found")["detail"]


def test_an_administrator_deletes_it(http, with_key):
    code = {**with_key("code"), **HEADERS}
    http.put(f"/v1/bundles/{ID}", content=SENT, headers=code)
    problem(http.delete(f"/v1/bundles/{ID}", headers=code), 403, "scope-missing")
    admin = with_key("admin")
    assert http.delete(f"/v1/bundles/{ID}", headers=admin).status_code == 204
    problem(http.delete(f"/v1/bundles/{ID}", headers=admin), 404, "not-found")


def test_the_client_raises_what_the_service_answers(url, with_key):
    with Client(url, token(with_key, "run")) as client, pytest.raises(ProblemError, match="code"):
        client.send_bundle(ID, PACKED)
