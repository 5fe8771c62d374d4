"""Is everything there that was acknowledged, and nothing stuck?"""

from __future__ import annotations

import time
from collections import Counter

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.database import Database
from app.database.models.results import MeasurementRow, RecommendationRow, StudyRow
from app.database.models.searching import ClaimRow
from app.database.models.serving import JobRow, RunnerRow
from app.tuning.owner import Owner
from app.tuning.state import StudyState
from benchmarks.faults.clients import WORKLOAD, Ledger

STUCK_AFTER_S = 45.0
"""A device that a dead runner has leased for so long."""


class Checks:
    """Of one campaign. Each returns what is wrong, in words; nothing is how it should be."""

    def __init__(self, database: Database, ledger: Ledger) -> None:
        self._database = database
        self._ledger = ledger
        self._orphaned_since: dict[tuple[str, str], float] = {}
        self.done = 0

    def now(self) -> list[str]:
        """In the middle of it all."""
        known = dict(self._ledger.measurements), dict(self._ledger.events)
        with self._database.read() as session:
            wrong = _measurements(session, known[0]) + _events(session, known[1])
            wrong += self._stuck(session)
        self.done += 1
        return wrong

    def in_the_end(self) -> list[str]:
        """When every client has its answer and every study is over."""
        wrong = self.now() + list(self._ledger.broken)
        with self._database.read() as session:
            stored = _client_measurements(session)
            if len(stored) != self._ledger.sent:
                wrong.append(f"{self._ledger.sent} measurements sent, {len(stored)} stored")
            for job in session.execute(select(JobRow)).scalars():
                if not StudyState(job.state).is_terminal:
                    wrong.append(f"study {job.id} is {job.state}")
                if job.lease is not None or job.active_key is not None:
                    wrong.append(f"study {job.id} still holds {job.lease or 'its question'}")
            for study in session.execute(select(StudyRow)).scalars():
                if study.state is StudyState.RUNNING:
                    wrong.append(f"study {study.id} is running, in a process that is gone")
            for table in (RunnerRow, ClaimRow):
                left = session.execute(select(func.count()).select_from(table)).scalar_one()
                if left:
                    wrong.append(f"{left} rows are left in {table.__tablename__}")
            wrong += _answers(session)
            if self._database.is_sqlite:
                said = session.execute(text("PRAGMA integrity_check")).scalar()
                wrong += [] if said == "ok" else [f"the file is damaged: {said}"]
        self.done += 1
        return wrong

    def _stuck(self, session: Session) -> list[str]:
        rows = session.execute(
            select(JobRow.id, JobRow.runner_id, RunnerRow)
            .join(RunnerRow, RunnerRow.id == JobRow.runner_id, isouter=True)
            .where(JobRow.lease.is_not(None))
        )
        orphaned = {
            (job_id, str(runner_id))
            for job_id, runner_id, runner in rows
            if runner is None or not Owner(runner.pid, runner.host, runner.started_s).is_alive()
        }
        now_s = time.monotonic()
        self._orphaned_since = {each: self._orphaned_since.get(each, now_s) for each in orphaned}
        return [
            f"the lease of study {job_id} has been stuck for {now_s - since_s:.0f} s"
            for (job_id, _), since_s in self._orphaned_since.items()
            if now_s - since_s > STUCK_AFTER_S
        ]


def states(database: Database) -> dict[str, int]:
    """Studies that clients asked for, by how they ended."""
    with database.read() as session:
        counted = Counter(session.execute(select(JobRow.state)).scalars())
    return dict(sorted(counted.items()))


def why_failed(database: Database) -> list[str]:
    with database.read() as session:
        rows = session.execute(select(JobRow.message).where(JobRow.state == "failed"))
        return sorted(set(rows.scalars()))


def _client_measurements(session: Session) -> list[tuple[int, int]]:
    rows = session.execute(
        select(MeasurementRow.batch_size, MeasurementRow.id).where(
            MeasurementRow.workload == WORKLOAD
        )
    )
    return [(batch_size, row_id) for batch_size, row_id in rows]


def _measurements(session: Session, acknowledged: dict[int, int]) -> list[str]:
    stored = _client_measurements(session)
    by_size = dict(stored)
    wrong = []
    if len(by_size) != len(stored):
        wrong.append(f"{len(stored) - len(by_size)} measurements are stored twice")
    lost = [size for size, row_id in acknowledged.items() if by_size.get(size) != row_id]
    if lost:
        wrong.append(f"{len(lost)} acknowledged measurements are lost, such as {lost[:5]}")
    return wrong


def _events(session: Session, seen: dict[str, int]) -> list[str]:
    """A study that was acknowledged is there, with every event that somebody has seen."""
    there = {row[0]: row[1] for row in session.execute(select(JobRow.id, JobRow.last_event))}
    wrong = [f"the acknowledged study {each} is lost" for each in seen if each not in there]
    wrong += [
        f"study {each}: event {last} was seen and is lost"
        for each, last in seen.items()
        if there.get(each, last) < last
    ]
    return wrong


def _answers(session: Session) -> list[str]:
    """What ended in a recommendation has one, and no more."""
    rows = session.execute(
        select(StudyRow.id, func.count(RecommendationRow.id))
        .join(RecommendationRow, RecommendationRow.study_id == StudyRow.id, isouter=True)
        .where(StudyRow.state == "finished", StudyRow.message == "")
        .group_by(StudyRow.id)
    )
    return [f"study {each} ended in {count} recommendations" for each, count in rows if count != 1]
