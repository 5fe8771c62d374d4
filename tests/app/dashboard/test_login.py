"""Sessions of browsers and the forms that belong to them."""

from __future__ import annotations

import time

import pytest

from app.keys import service as keys
from app.keys import sessions
from app.studies import service as jobs
from app.tuning.request import StudyRequest
from tests.app.dashboard.conftest import log_in, token_in
from tests.app.one_kind import kind  # noqa: F401


def test_a_page_leads_to_the_login_and_the_login_back(locked, database):
    answer = locked.get("/studies?state=running")
    assert answer.status_code == 303
    address = answer.headers["location"]
    assert address == "/login?next=/studies%3Fstate%3Drunning"
    page = locked.get(address)
    assert page.status_code == 200
    _, key = keys.create(database, "read")
    form = {"csrf_token": token_in(page.text), "key": key, "next": "/studies?state=running"}
    answer = locked.post("/login", data=form)
    assert answer.headers["location"] == "/studies?state=running"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert key not in cookie
    assert locked.get("/studies").status_code == 200


@pytest.mark.parametrize("next_", ["//evil.example", "https://evil.example", "/\\evil", "x"])
def test_nobody_is_sent_elsewhere_after_logging_in(locked, database, next_):
    _, key = keys.create(database, "read")
    form = {"csrf_token": token_in(locked.get("/login").text), "key": key, "next": next_}
    assert locked.post("/login", data=form).headers["location"] == "/"


def test_a_wrong_key_opens_nothing(locked):
    form = {"csrf_token": token_in(locked.get("/login").text), "key": "tng_" + "A" * 43}
    answer = locked.post("/login", data=form)
    assert answer.status_code == 401
    assert "unknown or has been revoked" in answer.text
    assert sessions.COOKIE not in answer.cookies


def test_logging_out_ends_the_session(locked, database):
    log_in(locked, database, "read")
    page = locked.get("/").text
    assert locked.post("/logout", data={"csrf_token": token_in(page)}).status_code == 303
    assert locked.get("/").status_code == 303


def test_a_reader_sees_no_button_and_may_not_do_what_it_does(locked, database):
    job = jobs.submit(database, StudyRequest(workload="transformer"))
    log_in(locked, database, "read")
    page = locked.get(f"/studies/{job.id}").text
    assert "Cancel" not in page
    assert 'href="/start"' not in locked.get("/").text
    refused = locked.get("/start")
    assert refused.status_code == 403
    assert 'href="/login"' in refused.text
    assert "named in detail" not in refused.text
    form = {"csrf_token": token_in(page)}
    assert locked.post(f"/studies/{job.id}/cancel", data=form).status_code == 403
    assert jobs.get(database, job.id).state == "queued"


def test_a_form_without_its_token_changes_nothing(locked, database):
    job = jobs.submit(database, StudyRequest(workload="transformer"))
    log_in(locked, database, "run")
    address = f"/studies/{job.id}/cancel"
    for form in ({"other": "x"}, {"csrf_token": "x" * 64}):
        answer = locked.post(address, data=form)
        assert answer.status_code == 403
        assert "has expired" in answer.text
    form = {"csrf_token": token_in(locked.get(f"/studies/{job.id}").text)}
    for header in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert locked.post(address, data=form, headers=header).status_code == 403
    assert jobs.get(database, job.id).state == "queued"
    assert locked.post(address, data=form).status_code == 303
    assert jobs.get(database, job.id).state == "cancelled"


def test_without_keys_a_form_needs_its_token_too(pages, database):
    job = jobs.submit(database, StudyRequest(workload="transformer"))
    address = f"/studies/{job.id}"
    assert pages.post(f"{address}/cancel", data={"other": "x"}).status_code == 403
    form = {"csrf_token": token_in(pages.get(address).text)}
    assert pages.post(f"{address}/cancel", data=form).status_code == 303
    assert jobs.get(database, job.id).state == "cancelled"


def test_a_session_reads_the_interface_of_programs_and_changes_nothing_there(locked, database):
    log_in(locked, database, "admin")
    assert locked.get("/v1/studies").status_code == 200
    assert locked.post("/v1/studies", json={"workload": "transformer"}).status_code == 401


def test_a_session_ends_with_its_time_or_its_key(database):
    key, token = keys.create(database, "run")
    begun = sessions.begin(database, token)
    assert begun is not None
    assert sessions.resume(database, begun.cookie) == key
    assert sessions.resume(database, begun.cookie, time.time() + sessions.LASTS_S + 1) is None
    keys.revoke(database, key.id)
    assert sessions.resume(database, begun.cookie) is None
    assert sessions.form_token(database, begun.cookie) is None


def test_a_cookie_that_was_touched_opens_nothing(database):
    key, token = keys.create(database, "read")
    other, _ = keys.create(database, "admin")
    begun = sessions.begin(database, token)
    assert begun is not None
    ends, signature = begun.cookie.split(".")[1:]
    later = str(int(ends) + 1)
    for cookie in (
        f"{other.id}.{ends}.{signature}",
        f"{key.id}.{later}.{signature}",
        f"{key.id}.{ends}.{signature[:-1]}0x",
        f"{key.id}.{ends}.",
        f"{key.id}.{'9' * 5000}.{signature}",
        "",
        "..",
        "é.1.ü",
    ):
        assert sessions.resume(database, cookie) is None, cookie
