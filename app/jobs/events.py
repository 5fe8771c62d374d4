"""What happens to a job, stored as numbered events: a reader that comes back with the number of
the last event it saw misses nothing. ``Report`` stores what a running study reports.

``docs/jobs.md`` lists the kinds of events and what each carries.
"""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from app.database import Database
from app.jobs import queue, repository
from app.jobs.records import JobEvent

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from optimizer.choose import Candidate
    from optimizer.events import Event
    from probes.measurement import Measurement

PAGE = 500
OF_TRIAL = (
    *("state", "reason", "batch_size", "binding", "throughput_samples_per_s", "probes", "wall_s"),
)
REMIND_S = 60.0
"""A job that waits says so this often."""

log = logging.getLogger(__name__)


def read(database: Database, study_id: str, after: int = 0, limit: int = PAGE) -> list[JobEvent]:
    """Events of a job with an id above ``after``, oldest first; ids count up by one. Empty for a
    study that no job ran (``tonnage tune`` on the command line)."""
    with database.read() as session:
        job = repository.find(session, study_id)
        return [] if job is None else repository.events(session, job.id, after, limit)


class Report:
    """Keeps what happens in a running job. Every event has been committed when a call returns.

    A runner that was taken for dead does not own the job any more, and an earlier ``attempt`` never
    does. The study then ends as if it had been interrupted: ``KeyboardInterrupt``.
    """

    def __init__(self, database: Database, job_id: str, runner_id: str, attempt: int) -> None:
        self._database = database
        self.job_id = job_id
        self.runner_id = runner_id
        self.attempt = attempt
        self._where: dict[str, str] = {}
        self._incumbent: dict[str, Any] | None = None
        self._waited: tuple[str, float] | None = None

    def measures_at(self, device: str) -> None:
        """From now on each event says on which device of which host it happened: of a study that
        several devices work on."""
        self._where = {"host": socket.gethostname(), "device": device}

    def opened(self, study_id: str, opening: str, pid: int) -> None:
        """Which study answers the job, and whether it is new, resumed or finished."""
        with self._guarded() as session:
            queue.opened(session, self.job_id, self.runner_id, study_id, pid, attempt=self.attempt)
            data = {"study_id": study_id, "opening": opening}
            self._store(session, "opened", data)

    def note(self, text: str) -> None:
        """A line that a person at the command line would have read."""
        self._add("note", {"text": text})

    def waiting(self, reason: str, waited_s: float = 0.0) -> None:
        """It cannot go on yet; said once per reason, and again every minute."""
        before = self._waited
        if before is not None and before[0] == reason and time.monotonic() - before[1] < REMIND_S:
            return
        self._waited = (reason, time.monotonic())
        self._add("waiting", {"reason": reason, "waited_s": round(waited_s, 1)})

    def study(self, event: Event) -> None:
        """An event of the search."""
        data = event_data(event)
        if data is not None:
            self._add(event.kind, data)
        incumbent = incumbent_data(event.incumbent) if event.incumbent is not None else None
        if incumbent is not None and incumbent != self._incumbent:
            self._incumbent = incumbent
            self._add("incumbent", incumbent)

    def tell(self, kind: str, data: dict[str, Any]) -> None:
        """An event of an ablation (``step``, ``evidence``) or a fine-tuning (``phase``,
        ``progress``)."""
        self._add(kind, data)

    def check(self) -> None:
        """Make sure that the runner still owns the job. Raises ``KeyboardInterrupt``."""
        with self._guarded() as session:
            self._own(session)

    def fence(self, session: Session) -> None:
        """Called in the transaction that stores a result: it is stored only while this attempt has
        the job. Raises ``KeyboardInterrupt``."""
        with _interrupting():
            self._own(session)

    def is_ours(self) -> bool:
        """Whether the runner still owns the job."""
        try:
            with self._database.write() as session:
                self._own(session)
        except queue.LeaseLost:
            return False
        return True

    def running(self, pid: int) -> None:
        """Which process runs the job, where no study is opened that would say so."""
        with self._guarded() as session:
            queue.running(session, self.job_id, self.runner_id, pid, attempt=self.attempt)

    def _add(self, kind: str, data: dict[str, Any]) -> None:
        with self._guarded() as session:
            self._store(session, kind, data)

    def _store(self, session: Session, kind: str, data: dict[str, Any]) -> None:
        data = {**data, **self._where}
        queue.report(session, self.job_id, self.runner_id, kind, data, attempt=self.attempt)

    def _own(self, session: Session) -> None:
        queue.owned(session, self.job_id, self.runner_id, self.attempt)

    @contextmanager
    def _guarded(self) -> Iterator[Session]:
        with _interrupting(), self._database.write() as session:
            yield session


@contextmanager
def _interrupting() -> Iterator[None]:
    """A lost job ends its process as an interruption does."""
    try:
        yield
    except queue.LeaseLost as lost:
        log.warning("%s", lost)
        raise KeyboardInterrupt from None


def event_data(event: Event) -> dict[str, Any] | None:
    """The event as data of its kind; ``None`` for one that says nothing."""
    where = {
        "trial": event.trial_number,
        "config": event.config,
        "settled": event.trials_settled,
        "planned": event.trials_planned,
    }
    if event.kind == "trial":
        return where
    if event.kind == "probe" and event.ask is not None:
        ask = event.ask
        expected = ask.peak_bytes.value if ask.peak_bytes is not None else None
        asked = {"batch_size": ask.batch_size, "purpose": str(ask.purpose)}
        return {**where, **asked, "expected_peak_bytes": expected}
    if event.kind in ("measured", "reused") and event.measurement is not None:
        return {**where, **measurement_data(event.measurement)}
    if event.kind == "settled" and event.trial is not None:
        return {**where, **{name: getattr(event.trial, name) for name in OF_TRIAL}}
    return None


def measurement_data(measurement: Measurement) -> dict[str, Any]:
    """What is worth seeing of a measurement at once; all of it is in the measurements."""
    timing = measurement.step_time
    return {
        "batch_size": measurement.batch_size,
        "purpose": str(measurement.purpose),
        "verdict": str(measurement.verdict),
        "reason": measurement.reason,
        "peak_bytes": measurement.peak_bytes,
        "limit_bytes": measurement.limit_bytes,
        "step_mean_s": timing.mean_s if timing is not None else None,
        "tainted": list(measurement.tainted),
    }


def incumbent_data(best: Candidate) -> dict[str, Any]:
    """The configuration that would be recommended if the study ended now."""
    return {
        "config": best.run.config,
        "batch_size": best.run.batch_size,
        "step_mean_s": best.step_time.mean_s,
        "throughput_samples_per_s": best.throughput_samples_per_s,
        "peak_bytes": best.run.peak_bytes,
    }
