"""schemathesis against the whole description of the interface, with every check it has."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.checks import service as checks
from app.database import open_database
from app.finetunings import service as finetunings
from app.fleet_answers import service as fleet_answers
from app.fleet_answers.question import FleetQuestion
from app.jobs import queue
from app.jobs import repository as jobs
from app.keys import service as keys
from app.knowledge import service as knowledge
from app.measurements import service as measurements
from app.settings import load_settings
from app.tuning import service as studies
from app.tuning.state import StudyState
from tests.app import factories
from tests.app.serving import serving

LEAST_CASES = 2000
CASES_PER_OPERATION = 6
TIMEOUT_S = 1800


@pytest.fixture
def service(sqlite_url: str) -> Iterator[tuple[str, str]]:
    """A service with something of everything in it, and an admin's key to it."""
    database = open_database(sqlite_url)
    spec = factories.spec()
    study, _ = studies.open_study(database, spec)
    studies.finish(database, study.id, factories.recommendation())
    measurements.record(database, spec.scope, factories.measurement())
    checks.record(
        database, verdict="fits", workload="w", device="cpu", fingerprint="f", document={}
    )
    fleet_answers.ask(database, load_settings(), FleetQuestion(spec.scope.workload))
    tuned = factories.finetuning(database)
    finetunings.add_event(database, tuned.id, {"step": 1, "loss": 2.0})
    finetunings.add_rows(database, tuned.id, "snake", [factories.evaluation_row()], {})
    knowledge.record(database, factories.evidence())
    _, key = keys.create(database, "admin")
    done = threading.Event()
    runner = threading.Thread(target=end_studies, args=(database, done))
    runner.start()
    with serving(database, needs_keys=True, rate_per_s=0) as url:
        # Made once per service, which on a busy machine takes longer than schemathesis waits.
        headers = {"Authorization": f"Bearer {key}"}
        httpx.get(f"{url}/openapi.json", headers=headers, timeout=TIMEOUT_S).raise_for_status()
        yield url, key
    done.set()
    runner.join()
    database.close()


def end_studies(database, done: threading.Event) -> None:
    """A runner that is done at once: an event stream of a study that nobody runs has no end."""
    while not done.wait(0.05):
        with database.write() as session:
            for job in jobs.waiting(session):
                row = jobs.locked(session, job.id)
                if row is not None:
                    queue.close(session, row, StudyState.FINISHED, "")


def test_no_server_error_and_every_answer_as_described(service, tmp_path: Path):
    url, key = service
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert command, "schemathesis is not installed beside this interpreter: make setup"
    run = subprocess.run(
        [
            command,
            "run",
            f"{url}/openapi.json",
            f"--header=Authorization: Bearer {key}",
            "--checks=all",
            f"--max-examples={CASES_PER_OPERATION}",
            "--continue-on-failure",
            "--generation-deterministic",
            "--request-timeout=60",
            "--no-color",
            "--header=Accept-Encoding: identity",  # compressing and unpacking tests nothing here
        ],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=TIMEOUT_S,
        check=False,
    )
    said = run.stdout + run.stderr
    assert run.returncode == 0, said[-20_000:]
    counted = re.search(r"(\d+) generated", said)
    assert counted, said[-2000:]
    assert int(counted[1]) >= LEAST_CASES
    assert re.search(r"Tested: (\d+)", said)[1] == re.search(r"Selected: (\d+)/\1", said)[1]
