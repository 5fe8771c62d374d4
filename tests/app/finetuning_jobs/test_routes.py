"""Fine-tunings over HTTP: asked for by registered names only, shown while they wait, cancelled."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from app.client import Client
from app.finetuning_jobs import service as jobs
from app.finetunings import service as finetunings
from app.jobs import runner_repository
from app.tuning.owner import this_place, this_process
from finetuning.settings.presets import PRESETS
from tests.app import factories
from tests.app.finetuning_jobs.conftest import ASKED
from tests.app.serving import problem

START = "/v1/finetunings"


def test_a_fine_tuning_is_queued_and_shown_at_once(service):
    changed = {"lora.r": 8, "lora.target_modules": ["q_proj"]}
    answer = service.post(START, json={**ASKED, "preset": "quick_lora", "settings": changed})
    assert answer.status_code == 202, answer.text
    made = answer.json()
    assert made["id"].startswith("ftn_")
    assert (made["state"], made["model"], made["preset"]) == ("queued", "small", "quick_lora")
    assert answer.headers["location"] == f"{START}/{made['id']}"
    read = service.get(answer.headers["location"]).json()
    assert (read["settings"]["lora"]["r"], read["output"], read["host"]) == (8, "", "")
    assert [each["id"] for each in service.get(START).json()["items"]] == [made["id"]]
    assert service.get(f"{START}?state=done").json()["items"] == []
    job = service.get(f"{START}/{made['id']}/job").json()
    assert (job["state"], job["request"]["data"]) == ("queued", ["bfs"])
    assert "tonnage runner" in job["message"]


def test_the_same_request_is_one_fine_tuning_while_it_waits(service):
    first = service.post(START, json=ASKED).json()["id"]
    assert service.post(START, json=ASKED).json()["id"] == first
    assert service.post(START, json={**ASKED, "data": ["astar"]}).json()["id"] != first


def test_an_idempotency_key_stands_for_its_fine_tuning(service):
    key = {"Idempotency-Key": "k"}
    first = service.post(START, json=ASKED, headers=key).json()["id"]
    service.post(f"{START}/{first}/cancel")
    again = service.post(START, json=ASKED, headers=key).json()
    assert (again["id"], again["state"]) == (first, "stopped")
    other = {**ASKED, "name": "other"}
    problem(service.post(START, json=other, headers=key), 409, "idempotency-conflict")


@pytest.mark.parametrize(
    ("changes", "status", "slug", "named"),
    [
        ({"model": "smal"}, 403, "workload-not-registered", "small"),
        ({"model": "/etc"}, 403, "workload-not-registered", "small"),
        ({"data": ["bfs", "/etc/passwd"]}, 403, "workload-not-registered", "astar"),
        ({"data": []}, 422, "invalid-request", ""),
        ({"preset": "quick_lor"}, 422, "invalid-request", "quick_lora"),
        ({"settings": {"lora.rank": 8}}, 422, "invalid-request", "lora.r"),
        ({"settings": {"lora.r": 0}}, 422, "invalid-request", "256"),
        ({"settings": {"training.epochs": 10**400}}, 422, "invalid-request", ""),
        ({"settings": {"lora.target_modules": [{}]}}, 422, "invalid-request", ""),
        ({"settings": {"model.name": "/etc"}}, 403, "option-not-allowed", "model"),
        ({"settings": {"name": "/etc"}}, 403, "option-not-allowed", "model"),
        ({"name": "../up"}, 422, "invalid-request", ""),
        ({"output": "/tmp"}, 422, "invalid-request", ""),
    ],
)
def test_what_cannot_be_run_is_refused_and_not_stored(service, changes, status, slug, named):
    document = problem(service.post(START, json={**ASKED, **changes}), status, slug)
    assert named in str(document)
    assert service.get(START).json()["items"] == []


def test_starting_and_deleting_need_the_scopes_of_studies(serve, with_key):
    url = serve(needs_keys=True)
    read = httpx.post(f"{url}{START}", json=ASKED, headers=with_key("read"))
    problem(read, 403, "scope-missing")
    problem(httpx.delete(f"{url}{START}/ftn_1", headers=with_key("run")), 403, "scope-missing")


def test_a_waiting_one_is_stopped_at_once_and_can_then_be_deleted(service):
    made = service.post(START, json=ASKED).json()["id"]
    problem(service.delete(f"{START}/{made}"), 409, "conflict")
    for _ in range(2):
        stopped = service.post(f"{START}/{made}/cancel")
        assert (stopped.status_code, stopped.json()["state"]) == (202, "stopped")
    assert service.delete(f"{START}/{made}").status_code == 204
    problem(service.get(f"{START}/{made}"), 404, "not-found")
    problem(service.get(f"{START}/{made}/job"), 404, "not-found")


def test_one_of_the_command_line_has_no_job(service, database):
    run = factories.finetuning(database)
    finetunings.finish(database, run.id, "done", {})
    problem(service.get(f"{START}/{run.id}/job"), 404, "not-found")
    for action, body in [("cancel", None), ("resume", None), ("evaluations", {})]:
        refused = problem(service.post(f"{START}/{run.id}/{action}", json=body), 404, "not-found")
        assert "tonnage finetune" in refused["detail"]
    assert service.delete(f"{START}/{run.id}").status_code == 204


def test_what_may_be_named_is_listed_with_the_hosts_that_have_it(service, database, offered):
    own = replace(offered.finetuning, models=("small", "large"), tasks=("chess",))
    with database.write() as session:
        there = replace(offered, finetuning=own)
        runner_repository.add(session, "run_1", this_process(), this_place(), there)
    found = service.get(f"{START}/registered").json()
    host = this_process().host
    assert found["models"] == [{"name": name, "hosts": [host]} for name in ("large", "small")]
    assert [each["name"] for each in found["data"]] == ["astar", "bfs"]
    assert [each["name"] for each in found["tasks"]] == ["language", "snake", "chess"]
    assert "games" in found["tasks"][1]["options"]
    assert [each["name"] for each in found["presets"]] == list(PRESETS)
    assert "/srv" not in str(found)


def test_the_client_starts_reads_cancels_and_waits(service, database, settings):
    with Client(str(service.base_url).rstrip("/")) as client:
        made = client.start_finetuning("small", ["bfs", "astar"], preset="full_small")
        assert client.finetuning(made.id).strategy == "full"
        assert [each.id for each in client.finetunings(state="queued")] == [made.id]
        assert client.finetuning_job(made.id).request["data"] == ["bfs", "astar"]
        assert client.cancel_finetuning(made.id).state == "stopped"
        assert client.wait_for_finetuning(made.id).state == "stopped"
        assert client.resume_finetuning(made.id).state == "queued"
        assert client.cancel_finetuning(made.id).state == "stopped"
        assert [each.name for each in client.finetuning_names().models] == ["small"]
        client.delete_finetuning(made.id)
        assert list(client.finetunings()) == []
        with pytest.raises(jobs.NotFound):
            jobs.get(database, made.id)


def test_the_page_of_a_waiting_one_says_why_it_waits(service):
    made = service.post(START, json=ASKED).json()["id"]
    page = service.get(f"/finetunings/{made}")
    assert page.status_code == 200
    assert "No runner is running" in page.text
    assert f"/finetunings/{made}/cancel" in page.text
