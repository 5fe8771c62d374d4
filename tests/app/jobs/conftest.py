"""Jobs without a device: offers that are made up, and processes that follow a script."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from app.database import Database, open_database
from app.jobs import events, process, repository
from app.jobs.events import Report
from app.jobs.executor import Executor, Process
from app.jobs.offers import DeviceOffer, Offers
from app.jobs.process import DATABASE_VARIABLE
from app.jobs.records import Job, JobEvent
from app.settings import Settings
from app.studies import service
from app.tuning.request import StudyRequest
from app.tuning.tune import StudyAnswer

ROOT = Path(__file__).parents[3]
WORKLOADS = ("transformer", "visnet")
PATIENCE_S = 120.0


def offers(*devices: str, host: str = "here", python: str = "") -> Offers:
    """What a runner with these devices offers."""
    return Offers(
        dict.fromkeys(WORKLOADS, python),
        tuple(
            DeviceOffer(
                python=python,
                device=device,
                kind=device.partition(":")[0],
                name=f"Model {device}",
                fingerprint=f"{host}-{device}",
                class_key="class",
                total_bytes=2**30,
                lease=f"{host}/{device}",
            )
            for device in devices or ("cpu",)
        ),
    )


def request(does: str = "finish", **changes: Any) -> StudyRequest:
    asked = {"workload": "transformer", "budget": "smoke_test", "pinned": {"does": does}}
    return StudyRequest.trusted({**asked, **changes})


Start = Callable[[Job, str, DeviceOffer], Process]


class ScriptedExecutor(Executor):
    """Offers what it is told to, starts what it is told to; ``changes`` are its next offers."""

    def __init__(
        self, offered: Offers, start: Start, changes: Callable[[], Offers | None] = lambda: None
    ) -> None:
        self.offered, self.start_job, self.changes = offered, start, changes

    def offers(self) -> Offers:
        return self.offered

    def changed(self) -> Offers | None:
        return self.changes()

    def start(self, job: Job, runner_id: str, offer: DeviceOffer) -> Process:
        return self.start_job(job, runner_id, offer)

    def close(self) -> None:
        """The test ends what it has started."""


def start_scripted(database: Database, folder: Path) -> Start:
    """Starts ``tests.app.jobs.scripted`` the way a runner starts the real process."""

    def start(job: Job, runner_id: str, offer: DeviceOffer) -> Process:
        module = [sys.executable, "-m", "tests.app.jobs.scripted"]
        return subprocess.Popen(
            [*module, job.id, runner_id, offer.device, str(job.attempt)],
            stdin=subprocess.PIPE,
            cwd=ROOT,
            env={
                **os.environ,
                DATABASE_VARIABLE: database.full_url,
                "JOBS_TEST_FOLDER": str(folder),
            },
            start_new_session=True,
        )

    return start


def until(condition: Callable[[], Any], step: Callable[[], Any] = lambda: None) -> Any:
    """What ``condition`` gives as soon as it is true; ``step`` is done meanwhile."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < deadline_s, "It never came true."
        step()
        time.sleep(0.02)
    return found


def add_event(database: Database, job_id: str, kind: str, data: dict[str, Any]) -> None:
    with database.write() as session:
        row = repository.locked(session, job_id)
        assert row is not None
        repository.add_event(session, row, kind, data)


def events_of(database: Database, job: Job) -> list[JobEvent]:
    return events.read(database, job.id)


def kinds(database: Database, job: Job) -> list[str]:
    return [event.kind for event in events_of(database, job)]


def says(database: Database, job: Job, text: str) -> bool:
    """Whether the job's process has noted this."""
    return any(event.data.get("text") == text for event in events.read(database, job.id))


def state(database: Database, job: Job) -> str:
    return service.get(database, job.id).state


@pytest.fixture
def runner_process(database_url: str, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Starts runners in processes of their own; whatever is left of them is killed at the end."""
    started: list[subprocess.Popen[str]] = []

    def start(*devices: str) -> subprocess.Popen[str]:
        open_database(database_url).close()
        module = [sys.executable, "-m", "tests.app.jobs.runner_process"]
        process = subprocess.Popen(
            [*module, database_url, str(tmp_path), *(devices or ("cpu",))],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for each in started:
        each.kill()
        each.communicate()


def run_claimed(
    settings: Settings, database: Database, job_id: str, runner_id: str = "run_1"
) -> int:
    """Run a job that is not a study as its process does, in its latest attempt, on the CPU."""

    def not_asked(*_: object) -> StudyAnswer:
        raise AssertionError("The job was run as a study.")

    with database.read() as session:
        job = repository.get(session, job_id)
    assert job is not None
    report = Report(database, job_id, runner_id, job.attempt)
    return process.run_job(settings, database, report, "cpu", run=not_asked)
