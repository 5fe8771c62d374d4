"""The process that runs one job. A runner starts it, and it ends when the runner does.

``python -P -m app.jobs.process JOB RUNNER DEVICE ATTEMPT``, with the database in
``TONNAGE_DATABASE_URL`` (its password must not stand on a command line) and a pipe from the runner
as its standard input.
It is separate from the runner, so that the runner survives what a study may do to its process
(run out of memory, crash in a library), and so that the study can be ended at any moment.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from app.database import Database, open_database
from app.jobs import queue, repository
from app.jobs.events import Report
from app.jobs.records import Job, JobKind
from app.jobs.run import Ending, run_ablation, run_evaluation, run_finetuning, run_study
from app.settings import Settings, load_settings
from app.tuning.state import StudyState
from probes.errors import TonnageError

if TYPE_CHECKING:
    from app.tuning.tune import StudyAnswer

DATABASE_VARIABLE = "TONNAGE_DATABASE_URL"
STDIN = 0
EXIT_DONE = 0
"""How the job ended is stored."""
EXIT_AGAIN = os.EX_TEMPFAIL
"""The database could not be used: how the job ended is not stored, and it should be run again."""
EXIT_INTERRUPTED = 130
EXIT_TERMINATED = 143

LEFT: Ending = (StudyState.FINISHED, "Nothing is left for it to measure.", {})
"""How a device ends that has assisted a study."""

RunStudy = Callable[[Settings, Database, Job, str, Report], "StudyAnswer"]

log = logging.getLogger(__name__)


class Terminated(KeyboardInterrupt):
    """SIGTERM: end as if interrupted, but the job will be resumed."""


def main(arguments: list[str], run: RunStudy = run_study) -> int:
    """Run a job to its end; returns the exit status. ``run`` is given for tests."""
    from app.logging_setup import configure_logging

    job_id, runner_id, device, attempt = arguments
    end_with_runner()
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _terminate)
    settings = load_settings()
    configure_logging(-1, settings.data_dir)
    try:
        database = open_database(settings.database_url, migrate=False)
        os.environ.pop(DATABASE_VARIABLE, None)  # a password: not for the code that is trained
        report = Report(database, job_id, runner_id, int(attempt))
        return run_job(settings, database, report, device, run)
    except KeyboardInterrupt as interrupt:
        return EXIT_TERMINATED if isinstance(interrupt, Terminated) else EXIT_INTERRUPTED
    except queue.LeaseLost as lost:
        log.warning("%s", lost)
        return EXIT_DONE
    except TonnageError as error:  # while storing how it ended
        log.error("Job %s: %s", job_id, error)
        return EXIT_AGAIN


def run_job(
    settings: Settings, database: Database, report: Report, device: str, run: RunStudy
) -> int:
    """Run the job of the report and store how it ended."""
    from app.database.errors import is_unavailable

    job_id = report.job_id
    with database.read() as session:
        job = repository.get(session, job_id)
    if job is None:
        raise queue.LeaseLost(f"Job {job_id} was deleted.")
    if job.is_shared or job.kind is JobKind.ASSIST:
        report.measures_at(device)
    try:
        if job.kind is JobKind.ABLATION:
            ending = run_ablation(settings, database, job, device, report)
        elif job.kind is JobKind.FINETUNING:
            ending = run_finetuning(settings, database, job, device, report)
        elif job.kind is JobKind.EVALUATION:
            ending = run_evaluation(settings, database, job, device, report)
        else:
            answer = run(settings, database, job, device, report)
            ending = outcome(answer) if job.kind is JobKind.STUDY else LEFT
    except Exception as error:
        if is_unavailable(database.url, error):
            log.error("Job %s: %s", job_id, error)
            return EXIT_AGAIN
        known = isinstance(error, TonnageError)
        log.error("Job %s failed: %s", job_id, error, exc_info=None if known else error)
        text = str(error) if known else f"{type(error).__name__}: {error}. See tonnage.log."
        ending = StudyState.FAILED, text, {}
    with database.write() as session:
        queue.end(session, job_id, report.runner_id, *ending, attempt=report.attempt)
    return EXIT_DONE


def outcome(answer: StudyAnswer) -> Ending:
    """State, message and event data of a study that came to its end. One that could not measure
    anything has failed: the same request resumes it when the machine is quiet."""
    recommendation = answer.recommendation
    data: dict[str, object] = {
        "study_id": answer.study_id,
        "recommendation_id": recommendation.id if recommendation is not None else None,
        "reasons": list(answer.reasons),
    }
    state = (
        StudyState.FINISHED if recommendation is not None or answer.measured else StudyState.FAILED
    )
    return state, answer.message, data


def end_with_runner() -> None:
    """End this process and its worker when the runner has ended, however it ended.

    On Linux the kernel does it, even while native code keeps Python from running; on every system a
    thread also waits for the end of the pipe that the runner holds.
    """
    from probes.processes.guard import die_with

    die_with(os.getppid())
    threading.Thread(target=_wait_for_end, name="lifeline", daemon=True).start()


def _wait_for_end() -> None:
    with contextlib.suppress(OSError):
        while os.read(STDIN, 1024):
            pass
    os.kill(os.getpid(), signal.SIGKILL)


def _interrupt(_number: int, _frame: object) -> None:
    _only_once()
    raise KeyboardInterrupt


def _terminate(_number: int, _frame: object) -> None:
    _only_once()
    raise Terminated


def _only_once() -> None:
    """A second signal must not interrupt the clean-up that the first one began; SIGKILL does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
