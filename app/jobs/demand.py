"""What free devices could do now: waiting jobs, and studies that more devices may assist.

Whoever looks after many runners asks the database once, and finds out in memory which of them may
get something. It may be wrong in favour of a runner: ``queue.claim`` decides.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import String, case, cast, func, literal, null, or_, select, union_all
from sqlalchemy.orm import Session

from app.clock import utc_now
from app.database.models.serving import JobRow
from app.jobs.assist_repository import HELPERS
from app.jobs.records import Job, JobKind
from app.jobs.repository import IS_WAITING, Runnable
from app.machine.asked_devices import names_group
from app.tuning.state import StudyState

ANY_NUMBER = 1_000_000
"""Devices that a study may take which takes all there are."""


@dataclass(frozen=True)
class Wanted:
    """Jobs that the same devices can work on."""

    workload: str
    device: str | None
    resume_on: str | None
    resume_class: str | None
    shared_class: str | None
    """The class of a study that several devices may work on at once."""
    may_go_elsewhere: bool
    runs: bool
    """Whether it runs already, and a device may assist it."""

    def fits(self, able: Runnable) -> bool:
        """Whether these free devices can work on it: the rules of ``repository.next_waiting`` and
        ``assist_repository.next_to_assist``."""
        if self.workload not in able.workloads:
            return False
        is_shared = self.shared_class is not None and self.shared_class in able.devices
        if self.runs or is_shared:
            return is_shared
        is_meant = able.best_is_free if self.device is None else self.device in able.devices
        return is_meant and (
            self.resume_on is None
            or self.resume_on in able.leases
            or self.resume_class in able.classes
            or self.may_go_elsewhere
        )


def wanted(session: Session) -> Counter[Wanted]:
    """Everything that waits, in one query, and for how many devices there is work."""
    row = JobRow
    may_go = case((row.elsewhere_at <= utc_now(), 1), else_=0)
    shared = case((row.devices_at_once != 1, row.class_key), else_=None)
    kind = (row.workload, row.device, row.resume_on, row.resume_class, shared, may_go)
    waiting = select(*kind, literal(0), func.count()).where(IS_WAITING).group_by(*kind)
    nothing = cast(null(), String)
    more = case((row.devices_at_once == 0, ANY_NUMBER), else_=row.devices_at_once - 1 - HELPERS)
    running = select(
        row.workload, nothing, nothing, nothing, row.class_key, literal(0), literal(1), more
    ).where(
        row.kind == JobKind.STUDY,
        row.state == StudyState.RUNNING,
        row.devices_at_once != 1,
        row.study_id.is_not(None),
        row.cancel_requested.is_(False),
        or_(row.devices_at_once == 0, row.devices_at_once > 1 + HELPERS),
    )
    found: Counter[Wanted] = Counter()
    for workload, device, resume, of_class, shares, elsewhere, runs, count in session.execute(
        union_all(waiting, running)
    ):
        each = Wanted(workload, device, resume, of_class, shares, bool(elsewhere), bool(runs))
        found[each] += count
    return found


def groups_in(found: Collection[Wanted]) -> set[str]:
    """The names of several devices that jobs wait for."""
    return {each.device for each in found if each.device and names_group(each.device)}


def without(found: Counter[Wanted], job: Job) -> Counter[Wanted]:
    """What is left when a job has been taken, as far as can be told from the job."""
    runs = job.assists is not None
    kinds = [
        each
        for each in found
        if each.workload == job.workload
        and each.runs == runs
        and (runs or each.device == job.device)
    ]
    return found - Counter(kinds[:1])
