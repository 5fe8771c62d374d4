"""Runners and processes that died: which have, and what becomes of their jobs.

The functions are steps inside the caller's writing transaction, as those of ``queue`` are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from sqlalchemy.orm import Session

from app.database.models.serving import JobRow
from app.jobs import assisting, queue, repository, runner_repository
from app.jobs.records import Job, JobKind
from app.jobs.runner_repository import RunnerRecord
from app.tuning import claims
from app.tuning import repository as studies
from app.tuning.owner import this_place
from app.tuning.state import StudyState

MAX_DEATHS = 3
"""A job whose process died this often in a row, without a new measurement, fails."""

AGAIN = {
    JobKind.STUDY: "start the study again: it resumes where it stopped.",
    JobKind.FINETUNING: "resume it: it continues from its last checkpoint.",
    JobKind.EVALUATION: "start the evaluation again: the rows that were made are kept.",
}
"""What to do about a job that has failed after several deaths."""


def died(
    session: Session, job_id: str, runner_id: str, how: str, *, attempt: int | None = None
) -> None:
    """A job's process ended without storing why: interrupt the job so that it is tried again, or
    fail it. Raises ``LeaseLost``."""
    row = queue.held(session, job_id, runner_id, attempt)
    queue.release_dead_study(session, row)
    _after_death(session, row, f"Its process {how}.")


def bury(session: Session, runner_id: str, why: str = "", *, gone: bool = False) -> list[Job]:
    """Remove a dead runner: its jobs are interrupted, and another runner may take them at once.

    ``gone``: its devices are gone too, so that nothing is gained by waiting for them: any device of
    the same class may take over at once, and every other after the usual time. ``why`` is a
    sentence about the runner's end.

    Returns the jobs as they are now. Does nothing if the runner has been removed already.
    """
    runner = runner_repository.locked(session, runner_id)
    if runner is None:
        return []
    jobs = []
    for row in repository.running_of(session, runner_id):
        _release_study(session, row, runner)
        ended = f"Its runner (process {runner.owner.pid} of {runner.owner.host}) ended."
        if gone and not queue.is_bound(row):
            row.resume_class = row.class_key
        _after_death(session, row, why or ended)
        if row.kind != JobKind.ASSIST:
            jobs.append(repository.record(row))
    runner_repository.remove(session, runner_id)
    return jobs


def bury_dead_here(session: Session, but: Collection[str] = ()) -> list[Job]:
    """Bury the runners whose process has ended, as far as this process can see (``this_place``).
    ``but``: ids of runners that are looked after otherwise.
    The processes of a runner's jobs end a moment after it: a runner is buried when they have."""
    place = this_place()
    dead = [
        runner.id
        for runner in runner_repository.listing(session)
        if runner.id not in but
        and runner.has_ended_at(place)
        and not _still_runs(session, runner.id)
    ]
    return [job for runner_id in dead for job in bury(session, runner_id)]


class HeartbeatMonitor:
    """Remembers since when each runner's count of beats has not changed.

    The clocks of two hosts may differ, and each may be set. What counts is how long this process
    has been watching, by a clock that only goes forward.
    """

    def __init__(self, dead_after_s: float, clock: Callable[[], float]) -> None:
        self._dead_after_s = dead_after_s
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}

    def silent(self, runners: Iterable[RunnerRecord]) -> list[str]:
        """Ids of runners on other hosts whose count has not changed for ``dead_after_s``. Call it
        at regular intervals."""
        now_s, place = self._clock(), this_place()
        before, self._seen = self._seen, {}
        found = []
        for runner in runners:
            if runner.is_watched_at(place):
                continue  # its process can be looked up
            beats, since_s = before.get(runner.id, (-1, now_s))
            if beats != runner.beats:
                since_s = now_s
            self._seen[runner.id] = (runner.beats, since_s)
            if now_s - since_s >= self._dead_after_s:
                found.append(runner.id)
        return found

    def forget(self) -> None:
        """Start over: while this process could not reach the database, the runners may not have
        either."""
        self._seen.clear()


def _after_death(session: Session, row: JobRow, what: str) -> None:
    row.deaths += 1
    if row.kind == JobKind.ASSIST:
        job = session.get(JobRow, row.assists)
        assisting.leave(session, row, job, StudyState.FAILED, what)
    elif row.cancel_requested:
        queue.close(session, row, StudyState.CANCELLED, "Cancelled.")
    elif row.deaths >= MAX_DEATHS:
        queue.close(
            session,
            row,
            StudyState.FAILED,
            f"{what} That happened {row.deaths} times in a row without a new measurement, so it "
            "was not tried again. Look at the runner's log and at the memory of its host, then "
            f"{AGAIN.get(JobKind(row.kind), AGAIN[JobKind.STUDY])}",
        )
    else:
        queue.close(session, row, StudyState.INTERRUPTED, f"{what} The next runner resumes it.")


def _still_runs(session: Session, runner_id: str) -> bool:
    """Whether a process of one of its jobs has not ended yet, as far as can be seen."""
    for row in repository.running_of(session, runner_id, lock=False):
        study_id = queue.study_of(session, row)
        owners = claims.holders(session, study_id) if row.assists is not None else []
        owner = queue.owner_of_study(session, row)
        for each in [*owners, *([] if owner is None else [owner])]:
            if each.pid == row.pid and each.is_here and each.is_alive():
                return True
    return False


def _release_study(session: Session, row: JobRow, runner: RunnerRecord) -> None:
    """The process of the study ended with the runner, so the study and its claims are released at
    once instead of after a long silence."""
    if runner.place == this_place():
        queue.release_dead_study(session, row)
        return
    study_id = queue.study_of(session, row)
    if row.pid is not None:
        claims.release_process(session, study_id, runner.owner.host, row.pid)
    owner = queue.owner_of_study(session, row)
    if owner is not None and owner.host == runner.owner.host and owner.pid == row.pid:
        studies.close(session, study_id, StudyState.INTERRUPTED, "Its runner ended.", 0.0)
