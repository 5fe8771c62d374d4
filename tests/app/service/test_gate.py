"""Who is let in, and who is not."""

from __future__ import annotations

import logging

import httpx
import pytest

from app.keys import service as keys
from app.service.gate import PUBLIC
from tests.app.one_kind import kind  # noqa: F401
from tests.app.serving import problem


@pytest.fixture
def locked(serve):
    """A client of a service that asks for keys, without one."""
    with httpx.Client(base_url=serve(needs_keys=True), verify=False, timeout=30) as client:
        yield client


def paths(client: httpx.Client) -> dict[str, dict[str, object]]:
    found: dict[str, dict[str, object]] = client.get("/openapi.json").json()["paths"]
    return found


def test_no_path_but_the_public_ones_answers_without_a_key(locked):
    asked = 0
    for path, operations in paths(locked).items():
        for method in operations:
            answer = locked.request(method, path.replace("{", "").replace("}", ""))
            if path in PUBLIC:
                assert answer.status_code == 200, path
            else:
                problem(answer, 401, "not-authenticated")
                assert answer.headers["www-authenticate"].startswith("Bearer")
                asked += 1
    assert asked > 15


def test_paths_that_do_not_exist_are_not_told_apart_without_a_key(locked):
    problem(locked.get("/v1/nothing"), 401, "not-authenticated")


@pytest.mark.parametrize(
    "header",
    [
        "Bearer tng_" + "A" * 43,
        "Bearer",
        "Basic dXNlcjpwYXNz",
        "tng_" + "A" * 43,
        "Bearer ' OR 1=1 --",
        "Bearer tng_" + "A" * 10_000,
    ],
)
def test_a_wrong_key(locked, header):
    answer = locked.get("/v1/devices", headers={"Authorization": header})
    document = problem(answer, 401, "not-authenticated")
    is_of_the_form = header.startswith("Bearer ")
    assert ("Bearer KEY" in document["detail"]) is not is_of_the_form
    assert ("unknown or revoked" in document["detail"]) is is_of_the_form
    assert "tng_" not in document["detail"]


def test_a_revoked_key_opens_nothing_from_the_next_request_on(locked, database):
    key, token = keys.create(database, "admin")
    header = {"Authorization": f"Bearer {token}"}
    assert locked.get("/v1/devices", headers=header).status_code == 200
    keys.revoke(database, key.id)
    document = problem(locked.get("/v1/devices", headers=header), 401, "not-authenticated")
    assert document["detail"] == "The key is unknown or revoked."


@pytest.mark.parametrize(
    ("scope", "reads", "runs", "deletes"),
    [("read", 200, 403, 403), ("run", 200, 403, 403), ("admin", 200, 403, 404)],
)
def test_a_scope_allows_what_it_says(locked, with_key, scope, reads, runs, deletes):
    header = with_key(scope)
    assert locked.get("/v1/devices", headers=header).status_code == reads
    started = locked.post("/v1/studies", json={"workload": "no-such"}, headers=header)
    assert started.status_code == runs
    reason = "scope-missing" if scope == "read" else "workload-not-registered"
    problem(started, 403, reason)
    assert locked.delete("/v1/studies/st_none", headers=header).status_code == deletes


def test_a_missing_scope_is_named(locked, with_key):
    answer = locked.delete("/v1/studies/st_none", headers=with_key("run"))
    assert "scope admin" in problem(answer, 403, "scope-missing")["detail"]


def test_no_key_is_ever_in_the_log(locked, with_key, caplog):
    header = with_key("read")
    token = header["Authorization"].split()[1]
    with caplog.at_level(logging.DEBUG):
        locked.get("/v1/devices", headers=header)
        locked.get("/v1/devices", params={"key": token}, headers=header)
        locked.get("/v1/devices", headers={"Authorization": "Bearer tng_wrong-" + token})
    ours = [each for each in caplog.records if each.name.split(".")[0] in ("app", "uvicorn")]
    said = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in ours)
    assert "/v1/devices" in said
    assert token not in said


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8765", "127.0.0.1.evil.example"])
def test_without_keys_the_service_answers_to_no_name_but_its_own(api, host):
    problem(api.get("/v1/devices", headers={"Host": host}), 421, "wrong-host")


@pytest.mark.parametrize("host", ["localhost", "localhost:8765", "127.0.0.1:1", "[::1]:8765"])
def test_without_keys_the_names_of_this_machine_are_fine(api, host):
    assert api.get("/v1/devices", headers={"Host": host}).status_code == 200


def test_with_keys_any_name_is_fine(locked, with_key):
    header = {**with_key("read"), "Host": "tonnage.example"}
    assert locked.get("/v1/devices", headers=header).status_code == 200


def test_without_keys_pages_of_other_origins_change_nothing(api):
    header = {"Origin": "https://evil.example"}
    problem(api.post("/v1/studies/st_1/cancel", headers=header), 403, "foreign-origin")
    own = {"Origin": str(api.base_url).rstrip("/")}
    problem(api.post("/v1/studies/st_1/cancel", headers=own), 404, "not-found")


def test_cors_is_off_until_an_origin_is_listed(api, serve):
    header = {"Origin": "https://team.example"}
    assert "access-control-allow-origin" not in api.get("/v1/devices", headers=header).headers
    url = serve(needs_keys=True, cors_origins=["https://team.example"])
    preflight = {**header, "Access-Control-Request-Method": "POST"}
    answer = httpx.options(f"{url}/v1/studies", headers=preflight)
    assert answer.headers["access-control-allow-origin"] == "https://team.example"
    refused = httpx.get(f"{url}/v1/devices", headers=header)
    problem(refused, 401, "not-authenticated")
    assert refused.headers["access-control-allow-origin"] == "https://team.example"


INJECTIONS = [
    "'; DROP TABLE tonnage_studies; --",
    "1 OR 1=1",
    "..%2f..%2fetc%2fpasswd",
    "../../etc/passwd",
    "%00",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "st_1'--",
]


@pytest.mark.parametrize("text", INJECTIONS)
def test_what_looks_like_an_attack_is_refused_or_just_not_found(api, text):
    for path in ("studies", "recommendations", "measurements", "checks", "devices"):
        answer = api.get(f"/v1/{path}/{text}")
        assert answer.status_code in (404, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    for path in ("studies", "recommendations", "measurements", "checks"):
        listed = api.get(f"/v1/{path}", params={"workload": text})
        assert listed.status_code == 200
        assert listed.json()["items"] == []
    refused = api.post("/v1/studies", json={"workload": text})
    assert problem(refused, 403, "workload-not-registered")
    assert api.get("/v1/studies").status_code == 200
