"""Evaluations by the service: of what it trained, where it trained it, on registered tasks."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from app.client import Client
from app.finetuning_jobs import evaluations
from app.finetunings import reading
from app.finetunings.evaluation_request import EvaluationPost
from app.jobs import deaths, process, queue, repository, runner_repository
from app.machine import target as targets
from app.settings import load_settings
from finetuning.evaluation.rows import EvaluationRow, write_rows
from finetuning.run import FineTuning
from probes.errors import InputError
from tests.app.finetuning_jobs.conftest import ASKED, done
from tests.app.jobs.conftest import run_claimed
from tests.app.serving import problem


@pytest.fixture
def tuned(database, settings, offered) -> str:
    """The id of a fine-tuning that a runner has done."""
    return done(database, settings, offered)


def claim(database) -> str | None:
    with database.write() as session:
        found = queue.claim(session, runner_repository.locked(session, "run_1"))
    return None if found is None else found[0].id


@pytest.fixture
def asked_of_worker(monkeypatch) -> list[dict]:
    """What ``FineTuning.evaluate`` was called with; it writes two rows of each task."""
    prober = contextlib.nullcontext()
    prober.python = "python"
    target = SimpleNamespace(
        prober=prober,
        facts=SimpleNamespace(device="cpu"),
        lease=lambda settings, waiting: contextlib.nullcontext(),
    )
    monkeypatch.setattr(targets, "open_target", lambda *_: target)
    calls: list[dict] = []

    def evaluate(run: FineTuning, tasks, **given):
        calls.append({"tasks": tasks, **given})
        found = {"run": {}, "baseline": {}}
        for spec in tasks:
            task = given["names"].get(spec, spec)
            for step in range(3):
                run.on_event(
                    {"phase": "evaluate", "model": "run", "task": task, "step": step, "of": 2}
                )
            rows = [EvaluationRow(task, f"item-{n}", "g", "bfs", {"score": n}) for n in range(2)]
            (run.folder.evaluation / task).mkdir(parents=True)
            write_rows(run.folder.evaluation / task / "rows.jsonl", rows)
            found["run"][task] = {"metrics": [], "figures": {"score": {"value": 0.5}}}
        return found

    monkeypatch.setattr(FineTuning, "evaluate", evaluate)
    return calls


def start(service, tuned: str, **asked) -> dict:
    answer = service.post(f"/v1/finetunings/{tuned}/evaluations", json=asked)
    assert answer.status_code == 202, answer.text
    return answer.json()


def test_an_evaluation_runs_where_the_model_is_and_its_rows_are_those_of_the_fine_tuning(
    service, database, settings, tuned, asked_of_worker
):
    snake = {"games": 2}
    made = start(
        service, tuned, tasks=["language", "snake"], options={"snake": snake}, baseline="base"
    )
    assert (made["state"], made["finetuning_id"]) == ("queued", tuned)
    before = reading.get(database, tuned).changes
    assert claim(database) == made["id"]
    assert run_claimed(settings, database, made["id"]) == process.EXIT_DONE
    (call,) = asked_of_worker
    assert call["options"] == {"language": {}, "snake": snake}
    assert (call["baseline"], call["limit"]) == ("base", None)
    read = service.get(f"/v1/finetunings/{tuned}/evaluations/{made['id']}").json()
    assert (read["state"], read["tasks"]) == ("finished", ["language", "snake"])
    found = service.get(f"/v1/finetunings/{tuned}").json()
    assert (found["state"], sorted(found["evaluations"])) == ("done", ["language", "snake"])
    rows = service.get(f"/v1/finetunings/{tuned}/evaluations/snake/rows").json()["items"]
    assert [row["item"] for row in rows] == ["item-0", "item-1"]
    assert reading.get(database, tuned).changes > before
    with database.read() as session:
        told = repository.events(session, made["id"], 0, 99)
    assert {event.kind for event in told} >= {"queued", "started", "progress", "finished"}


def test_a_registered_task_and_baseline_are_named_and_their_places_are_the_runners(
    database, settings, tuned, asked_of_worker
):
    own = settings.finetuning.model_copy(update={"tasks": {"chess": "/srv/chess.py:Chess"}})
    settings = settings.model_copy(update={"finetuning": own})
    asked = EvaluationPost(tasks=["chess"], baseline="small", limit=5)
    job = evaluations.submit(database, settings, tuned, asked)
    claim(database)
    assert run_claimed(settings, database, job.id) == process.EXIT_DONE
    (call,) = asked_of_worker
    assert call["tasks"] == ["/srv/chess.py:Chess"]
    assert call["names"] == {"/srv/chess.py:Chess": "chess"}
    assert (call["baseline"], call["limit"]) == ("/srv/models/small", 5)
    assert "chess" in reading.get(database, tuned).evaluations


@pytest.mark.parametrize(
    ("asked", "status", "slug", "named"),
    [
        ({"tasks": ["snak"]}, 403, "workload-not-registered", "snake"),
        ({"tasks": ["/etc/x.py:Task"]}, 403, "workload-not-registered", "language"),
        ({"tasks": ["lm_eval"]}, 403, "workload-not-registered", "language"),
        ({"baseline": "/etc"}, 403, "workload-not-registered", "small"),
        ({"options": {"language": {"yaml": "x"}}}, 403, "option-not-allowed", "latency_rows"),
        ({"options": {"snake": {"games": 2}}}, 422, "invalid-request", "snake"),
        ({"options": {"language": {"latency_rows": "x"}}}, 422, "invalid-request", "latency_rows"),
        ({"tasks": ["snake"], "options": {"snake": {"games": 0}}}, 422, "invalid-request", "games"),
        ({"tasks": []}, 422, "invalid-request", ""),
        ({"tasks": ["snake", "snake"]}, 422, "invalid-request", "twice"),
        ({"limit": 0}, 422, "invalid-request", ""),
        ({"path": "/tmp"}, 422, "invalid-request", ""),
    ],
)
def test_what_cannot_be_evaluated_is_refused(service, tuned, asked, status, slug, named):
    answer = service.post(f"/v1/finetunings/{tuned}/evaluations", json=asked)
    assert named in str(problem(answer, status, slug))
    assert service.get(f"/v1/finetunings/{tuned}/evaluations").json() == {"items": []}


def test_one_that_is_not_done_cannot_be_evaluated(service):
    made = service.post("/v1/finetunings", json=ASKED).json()["id"]
    problem(service.post(f"/v1/finetunings/{made}/evaluations", json={}), 409, "conflict")


def test_the_same_is_one_evaluation_while_it_waits_and_then_can_be_cancelled(service, tuned):
    first = start(service, tuned)
    assert start(service, tuned)["id"] == first["id"]
    problem(service.delete(f"/v1/finetunings/{tuned}"), 409, "conflict")
    place = f"/v1/finetunings/{tuned}/evaluations/{first['id']}"
    for _ in range(2):
        assert service.post(f"{place}/cancel").json()["state"] == "cancelled"
    assert start(service, tuned)["id"] != first["id"]
    problem(service.get(f"/v1/finetunings/ftn_x/evaluations/{first['id']}"), 404, "not-found")


def test_an_evaluation_waits_for_the_host_of_the_model_however_long(
    database, settings, tuned, offered
):
    job = evaluations.submit(database, settings, tuned, EvaluationPost())
    assert claim(database) == job.id
    with database.write() as session:
        deaths.bury(session, "run_1", gone=True)
        row = repository.locked(session, job.id)
        assert (row.state, row.resume_class, row.elsewhere_at) == ("interrupted", None, None)


def test_an_evaluation_that_fails_leaves_the_fine_tuning_done(
    database, settings, tuned, asked_of_worker, monkeypatch
):
    def fails(run, tasks, **given):
        raise InputError("The file of held-out rows is gone.")

    monkeypatch.setattr(FineTuning, "evaluate", fails)
    job = evaluations.submit(database, settings, tuned, EvaluationPost())
    claim(database)
    run_claimed(settings, database, job.id)
    (found,) = evaluations.listing(database, tuned)
    assert (found.job.state, found.job.message) == ("failed", "The file of held-out rows is gone.")
    assert reading.get(database, tuned).state == "done"


def test_the_client_evaluates(service, tuned):
    with Client(str(service.base_url).rstrip("/")) as client:
        made = client.evaluate_finetuning(tuned, ["snake"], options={"snake": {"games": 2}})
        assert client.cancel_evaluation(tuned, made.id).state == "cancelled"
        assert client.wait_for_evaluation(tuned, made.id).state == "cancelled"
        assert [each.id for each in client.finetuning_evaluations(tuned)] == [made.id]
        client.delete_finetuning(tuned)


@pytest.mark.parametrize("tasks", [{"snake": "a.yaml"}, {"mine": "a.txt"}, {"mine": "a.py"}])
def test_a_task_that_cannot_be_registered_is_named(tasks):
    with pytest.raises(InputError, match=next(iter(tasks))):
        load_settings(environ={}, overrides={"finetuning": {"tasks": tasks}})
