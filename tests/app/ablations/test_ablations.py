"""Ablations as jobs: asked for over HTTP, taken by a runner, run in its process, watched."""

from __future__ import annotations

from types import SimpleNamespace

import httpx
import pytest

from app.ablations import service as ablations
from app.errors import NotFound
from app.jobs import process, queue, repository, runner_repository
from app.jobs.offers import Offers
from app.jobs.records import JobKind
from app.knowledge import measuring
from app.knowledge import service as knowledge
from app.knowledge.request import AblationPost
from app.machine import target as targets
from app.studies import service as studies
from app.studies import view
from app.tuning.owner import this_place, this_process
from app.tuning.request import StudyRequest
from app.tuning.state import StudyState
from optimizer.ablation import AblationEvent
from tests.app.factories import evidence
from tests.app.jobs.conftest import offers, request, run_claimed
from tests.app.serving import problem

NAME = "Heuristic:Gradient_Checkpointing"
START = "/v1/knowledge/evidence"


def submit(database, settings, **asked):
    post = AblationPost.checked({"page": "Gradient_Checkpointing", **asked})
    return ablations.submit(database, settings, post)


class TestAsking:
    def test_an_ablation_is_queued_for_the_default_workload(self, service, database):
        answer = service.post(START, json={"page": "Gradient_Checkpointing"})
        assert answer.status_code == 202, answer.text
        (item,) = answer.json()["items"]
        assert item["id"].startswith("abl_")
        assert (item["state"], item["page"]) == ("queued", NAME)
        assert (item["workload"], item["claims"]) == (
            "transformer",
            ["activation-memory"],
        )
        assert answer.headers["location"] == f"/v1/knowledge/ablations/{item['id']}"
        read = service.get(answer.headers["location"]).json()
        assert (read["id"], read["step"], read["evidence"]) == (item["id"], "", [])
        listed = service.get("/v1/knowledge/ablations").json()["items"]
        assert [each["id"] for each in listed] == [item["id"]]

    def test_the_same_question_is_one_job_while_it_is_queued(self, service):
        first = service.post(START, json={"page": NAME}).json()["items"]
        again = service.post(START, json={"page": "Gradient_Checkpointing"}).json()["items"]
        other = service.post(START, json={"page": NAME, "workload": "causal-lm"}).json()["items"]
        assert [item["id"] for item in first] == [item["id"] for item in again]
        assert first[0]["id"] != other[0]["id"]

    def test_an_idempotency_key_stands_for_its_jobs(self, service):
        key = {"Idempotency-Key": "k" * 200}
        first = service.post(START, json={"page": NAME}, headers=key).json()["items"][0]["id"]
        service.post(f"/v1/knowledge/ablations/{first}/cancel")
        again = service.post(START, json={"page": NAME}, headers=key).json()["items"][0]
        assert (again["id"], again["state"]) == (first, "cancelled")
        device = {"page": NAME, "device": "cuda:0"}
        refused = service.post(START, json=device, headers=key)
        document = problem(refused, 409, "idempotency-conflict")
        assert f"'{'k' * 200}'" in document["detail"]

    def test_it_waits_behind_the_study_that_was_asked_for_before_it(self, database, settings):
        """Its id begins with ``abl``, and that of a study with ``st``."""
        asked = [studies.submit(database, request()).id]
        asked += [job.id for job in submit(database, settings)]
        asked.append(studies.submit(database, request(workload="visnet")).id)
        with database.read() as session:
            assert [job.id for job in repository.waiting(session)] == asked
        taken = []
        with database.write() as session:
            runner_repository.add(session, "run_1", this_process(), this_place(), offers("cpu"))
            runner = runner_repository.locked(session, "run_1")
        for _ in asked:
            with database.write() as session:
                claimed = queue.claim(session, runner)
                assert claimed is not None
                taken.append(claimed[0].id)
                queue.end(session, taken[-1], "run_1", StudyState.FINISHED)
        assert taken == asked

    @pytest.mark.parametrize(
        ("asked", "status", "slug"),
        [
            ({"page": "No_Such_Page"}, 404, "not-found"),
            ({"page": "Workflow:QLoRA_Finetuning"}, 409, "conflict"),
            ({"page": NAME, "claims": ["none"]}, 404, "not-found"),
            ({"page": NAME, "workload": "evil.py:W"}, 403, "workload-not-registered"),
            ({"page": NAME, "options": {"data": "/etc/passwd"}}, 403, "option-not-allowed"),
            ({"page": NAME, "extra": 1}, 422, "invalid-request"),
        ],
    )
    def test_what_cannot_be_measured_is_refused_at_once(self, service, asked, status, slug):
        problem(service.post(START, json=asked), status, slug)

    def test_it_needs_a_key_that_may_run(self, serve, with_key):
        url = serve(needs_keys=True)
        read = httpx.post(f"{url}{START}", json={"page": NAME}, headers=with_key("read"))
        problem(read, 403, "scope-missing")


class TestApart:
    def test_studies_and_ablations_are_not_taken_for_each_other(self, database, settings):
        (job,) = submit(database, settings)
        study = studies.submit(database, StudyRequest(workload="transformer"))
        assert [each.id for each in view.page(database, limit=9)] == [study.id]
        assert [each.id for each in ablations.page(database, limit=9)] == [job.id]
        for look in (view.get, studies.get, studies.cancel, studies.delete):
            with pytest.raises(NotFound):
                look(database, job.id)
        for look in (ablations.get, ablations.cancel):
            with pytest.raises(NotFound):
                look(database, study.id)

    def test_cancelling_a_waiting_one_ends_it(self, database, settings):
        (job,) = submit(database, settings)
        assert ablations.cancel(database, job.id).state == "cancelled"
        assert ablations.cancel(database, job.id).state == "cancelled"


class TestRunning:
    @pytest.fixture
    def claimed(self, database, settings):
        """A job that a runner has taken: its id and the runner's."""
        (job,) = submit(database, settings)
        with database.write() as session:
            runner_repository.add(session, "run_1", this_process(), this_place(), offers("cpu"))
            runner = runner_repository.locked(session, "run_1")
            found = queue.claim(session, runner)
        assert found is not None and found[0].id == job.id
        return job.id

    @pytest.fixture
    def device(self, monkeypatch):
        """A device that needs no worker."""
        target = SimpleNamespace(prober=_Prober(), fingerprint=SimpleNamespace(key="f" * 16))
        monkeypatch.setattr(targets, "open_target", lambda *_: target)

    def test_a_runner_without_the_workload_leaves_it(self, database, settings):
        submit(database, settings)
        with database.write() as session:
            runner_repository.add(session, "run_1", this_process(), this_place(), Offers({}))
            runner = runner_repository.locked(session, "run_1")
            assert queue.claim(session, runner) is None

    def test_its_process_measures_and_tells_what_the_claims_came_to(
        self, database, settings, claimed, device, monkeypatch
    ):
        def measure(settings, database, group, target, watch, *, since):
            assert [claim.id for claim in group.claims] == ["activation-memory"]
            watch.step(AblationEvent("pair", "peak_memory: -41.0%"))
            made = evidence()
            row = knowledge.record(database, made)
            watch.evidence(row, made)
            return [row]

        monkeypatch.setattr(measuring, "measure", measure)
        status = run_claimed(settings, database, claimed)
        found = ablations.get(database, claimed)
        assert (status, found.job.state) == (process.EXIT_DONE, "finished")
        assert found.step == "peak_memory: -41.0%"
        assert [(e["claim"], e["verdict"]) for e in found.evidence] == [
            (f"{NAME}#activation-memory", "refuted")
        ]
        with database.read() as session:
            kinds = [e.kind for e in repository.events(session, claimed, 0, 99)]
        assert kinds == ["queued", "started", "step", "evidence", "finished"]

    def test_a_failure_is_its_message(self, database, settings, claimed, device, monkeypatch):
        def measure(*_, **__):
            raise NotFound("The page was removed.")

        monkeypatch.setattr(measuring, "measure", measure)
        run_claimed(settings, database, claimed)
        found = ablations.get(database, claimed).job
        assert (found.kind, found.state) == (JobKind.ABLATION, "failed")
        assert found.message == "The page was removed."


class _Prober:
    def __enter__(self) -> _Prober:
        return self

    def __exit__(self, *_: object) -> None:
        return None
