"""A job's study: how the request becomes a question, and what is waited for."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from app.jobs import run
from app.jobs.events import Report, event_data
from app.jobs.process import outcome
from app.machine import session as benches
from app.machine import target as targets
from app.settings import load_settings
from app.studies import service
from app.tuning import service as studies
from app.tuning import tune
from app.tuning.request import StudyRequest
from app.tuning.tune import StudyAnswer
from optimizer.events import Event
from probes.errors import InputError
from probes.max_batch import Ask
from probes.measurement import Purpose
from tests.app import factories
from tests.app.jobs.conftest import request


class Prober:
    def __init__(self) -> None:
        self.closed = False

    def __enter__(self) -> Prober:
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True


class Seen:
    """What ``run_study`` opened and asked."""

    def __init__(self) -> None:
        self.prober = Prober()
        self.settings = None
        self.where: tuple = ()
        self.workload = None
        self.headroom = 0.0
        self.effective_batch_size: int | None = None
        self.questions: list[StudyRequest] = []
        self.joined: list[tuple[str, str]] = []
        self.new_ids: list[str | None] = []
        self.busy = 0

    def open_target(self, settings, python, device, memory_budget_bytes):
        self.settings, self.where = settings, (python, device, memory_budget_bytes)
        return SimpleNamespace(prober=self.prober)

    def open_session(self, settings, workload, target, headroom, effective_batch_size):
        self.workload, self.headroom = workload, headroom
        self.effective_batch_size = effective_batch_size

    def tune_study(self, bench, database, question, *_, join, adopt, new_id, opened, fence):
        self.questions.append(question)
        self.joined.append((join, adopt))
        self.new_ids.append(new_id)
        if self.busy:
            self.busy -= 1
            raise studies.StudyIsRunning("st_other", "Study st_other is being run by process 7.")
        return StudyAnswer(new_id or "st_old", None, [], True)


@pytest.fixture
def seen(monkeypatch) -> Seen:
    seen = Seen()
    monkeypatch.setattr(targets, "open_target", seen.open_target)
    monkeypatch.setattr(benches.MeasuringSession, "open", seen.open_session)
    monkeypatch.setattr(tune, "tune_study", seen.tune_study)
    return seen


class Said(Report):
    """Keeps in memory what would be stored."""

    def __init__(self) -> None:
        super().__init__(None, "st_1", "run_1", 1)  # type: ignore[arg-type]
        self.said: list[tuple[str, dict]] = []

    def _add(self, kind, data) -> None:
        self.said.append((kind, data))


def test_the_request_is_asked_of_the_device_the_runner_chose(database, seen):
    asked = request(
        options={"length": 16},
        memory_budget_bytes=2**30,
        levers=["precision"],
        objective="capacity",
        sampler="tpe",
        effective_batch_size=64,
        trials=3,
        timeout_s=60.0,
        cycle_batches=10,
        time_scale=0.5,
        headroom=0.2,
        accept_disturbed=True,
        fresh=True,
    )
    job = service.submit(database, asked)
    run.run_study(load_settings(), database, job, "cuda:1", Said())
    assert seen.where == (None, "cuda:1", 2**30)
    assert (seen.workload.spec, seen.workload.options) == ("transformer", {"length": 16})
    assert (seen.headroom, seen.new_ids) == (0.2, [job.id])
    assert seen.questions == [asked]
    assert seen.effective_batch_size == 64
    assert seen.settings.probe.accept_disturbed
    assert seen.settings.probe.lease_wait_s == math.inf
    assert seen.prober.closed


def test_only_the_first_attempt_of_a_fresh_study_is_fresh(database, seen):
    study, _ = studies.open_study(database, factories.spec())
    job = service.submit(database, request(fresh=True))
    begun = type(job)(**{**vars(job), "study_id": study.id})
    run.run_study(load_settings(), database, begun, "cpu", Said())
    assert (seen.questions[0].fresh, seen.new_ids) == (False, [None])


def test_a_workload_that_this_host_does_not_register_is_refused_here_too(database, seen):
    job = service.submit(database, request())
    smuggled = type(job)(**{**vars(job), "asked": request(workload="/tmp/evil.py:Net").to_dict()})
    with pytest.raises(InputError, match="registered"):
        run.run_study(load_settings(), database, smuggled, "cpu", Said())
    assert seen.where == ()


def test_while_another_process_runs_the_same_study_it_waits(database, seen, monkeypatch):
    waited: list[str] = []
    monkeypatch.setattr(run, "wait_for_owner", lambda _, study_id: waited.append(study_id))
    job = service.submit(database, request())
    seen.busy = 2
    report = Said()
    run.run_study(load_settings(), database, job, "cpu", report)
    assert waited == ["st_other", "st_other"]
    assert len(seen.questions) == 3
    (said,) = report.said  # once, not for every look
    assert said[0] == "waiting"
    assert "process 7" in said[1]["reason"]


def test_waiting_is_over_when_the_study_is_not_run_any_more(database, monkeypatch):
    study, _ = studies.open_study(database, factories.spec())
    looks: list[float] = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            studies.stop(database, study.id)

    monkeypatch.setattr(run.time, "sleep", sleep)
    run.wait_for_owner(database, study.id)
    assert len(looks) == 3


def test_how_a_study_ends_its_job():
    found = outcome(StudyAnswer("st_1", factories.recommendation(), [], True))
    assert found[0] == "finished"
    assert found[2]["recommendation_id"] == "rec_1"
    assert outcome(StudyAnswer("st_1", None, ["Nothing fits."], True))[:2] == (
        "finished",
        "Nothing fits.",
    )
    assert outcome(StudyAnswer("st_1", None, ["It was disturbed."], False))[0] == "failed"
    several = StudyAnswer("st_1", None, ["Even batch 1 fails.", "a=1: ImportError"], True)
    assert outcome(several)[1] == "Even batch 1 fails. a=1: ImportError."


def test_events_of_the_search_carry_what_is_worth_seeing():
    config = {"layers": 2}
    asked = event_data(Event("probe", 1, 0, 4, config, Ask(16, Purpose.CONFIRM)))
    assert asked == {
        "trial": 1,
        "config": config,
        "settled": 0,
        "planned": 4,
        "batch_size": 16,
        "purpose": "confirm",
        "expected_peak_bytes": None,
    }
    measured = event_data(Event("measured", 1, config=config, measurement=factories.measurement()))
    assert measured is not None
    assert (measured["verdict"], measured["batch_size"]) == ("stable", 8)
    assert measured["step_mean_s"] == 0.1
    settled = event_data(Event("settled", 1, config=config, trial=factories.trial()))
    assert settled is not None
    assert (settled["state"], settled["batch_size"]) == ("feasible", 8)
    assert event_data(Event("unheard of")) is None
