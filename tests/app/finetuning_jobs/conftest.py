"""A service with one registered model and two sources of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from app.database import Database
from app.finetuning_jobs import service as jobs
from app.finetunings import service as finetunings
from app.finetunings.request import FineTuningPost
from app.http.runtime import Service
from app.jobs import queue, repository, runner_repository
from app.jobs.detect import finetuning_offer
from app.jobs.offers import Offers
from app.settings import Settings, load_settings
from app.tuning.owner import this_place, this_process
from app.tuning.state import StudyState
from finetuning.settings.files import write_settings
from finetuning.settings.presets import preset
from tests.app.jobs.conftest import offers
from tests.app.serving import running

ASKED = {"model": "small", "data": ["bfs"]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    own = {
        "models": {"small": "/srv/models/small"},
        "data": {"bfs": "/srv/logs/bfs_*", "astar": "/srv/logs/astar.jsonl"},
        "output": str(tmp_path / "runs"),
    }
    return load_settings(environ={}, overrides={"finetuning": own})


@pytest.fixture
def offered(settings: Settings) -> Offers:
    """What a runner with these settings and a CPU offers."""
    return replace(offers("cpu"), finetuning=finetuning_offer(settings))


@pytest.fixture
def service(database: Database, settings: Settings) -> Iterator[httpx.Client]:
    """A service without keys."""
    with (
        running(Service(database, settings, needs_keys=False)) as url,
        httpx.Client(base_url=url, verify=False, timeout=30) as client,
    ):
        yield client


def done(database: Database, settings: Settings, offered: Offers) -> str:
    """The id of a fine-tuning that the runner ``run_1`` has done, with its folder."""
    job_id = jobs.submit(database, settings, FineTuningPost.model_validate(ASKED)).id
    folder = settings.finetuning_output / job_id
    folder.mkdir(parents=True)
    wanted = preset("quick_lora").settings("/srv/models/small")
    write_settings(wanted, folder / "finetuning.yaml")
    with database.write() as session:
        runner_repository.add(session, "run_1", this_process(), this_place(), offered)
        before = [job.id for job in repository.waiting(session) if job.id != job_id]
        runner = runner_repository.locked(session, "run_1")
        assert queue.claim(session, runner, skip=before) is not None
    about = {"output": str(folder), "settings": wanted.to_plain(), "device": "cpu"}
    finetunings.begin(database, finetuning_id=job_id, fingerprint="f" * 16, **about)
    finetunings.finish(database, job_id, "done", {"step": 4})
    with database.write() as session:
        queue.end(session, job_id, "run_1", StudyState.FINISHED)
    return job_id
