"""One campaign in a fleet: see ``benchmarks.faults.campaign``."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from statistics import median
from typing import Any

import psutil
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.database.models.results import MeasurementRow
from app.database.models.serving import JobEventRow, JobRow
from benchmarks.faults.campaign import Campaign
from benchmarks.faults.clients import WORKLOAD, Clients
from benchmarks.faults.postgres import Postgres
from benchmarks.fleet_faults.house import FleetHouse
from probes.errors import TonnageError

KILLS = {
    "agent": 8,
    "raylet": 7,
    "node": 6,
    "head": 5,
    "pause": 6,
    "postgres": 7,
    "web": 6,
    "study": 5,
    "worker": 8,
}
"""How often each is chosen, relative to the others. ``agent``: our process on a node; ``node``: the
command ``tonnage fleet join``; ``pause``: a node that nobody reaches for a while."""
PAUSE_S = (1.0, 12.0)
"""Ray gives a node up after about 3 s."""
RECOVERY_S = 180.0
"""After a fault, the next measurement of a study must be stored within this time."""


class FleetCampaign(Campaign):
    def __init__(
        self,
        house: FleetHouse,
        clients: Clients,
        seed: int,
        *,
        postgres: Postgres,
        has_small_disk: bool,
    ) -> None:
        super().__init__(
            house,
            clients,
            seed,
            postgres=postgres,
            has_small_disk=has_small_disk,
            victims=KILLS,
            pause_s=(0.5, 5.0),
        )
        self._fleet = house
        self._recovery_s: dict[str, list[float]] = defaultdict(list)

    def _begin(self) -> None:
        """The head makes the token that the others need."""
        house = self._fleet
        house.start("head")
        while not house.token.exists():
            time.sleep(0.1)
        for member in house.members[1:]:
            house.start(member)

    def _kill(self, kind: str) -> None:
        if not self._recovery_s:
            self._progress(0)  # everything runs before the first fault
        before = self._measured()
        if kind in ("agent", "raylet", "study", "worker"):
            kind = self._kill_one(kind)
        elif kind in ("node", "head"):
            name = kind if kind == "head" else self._chance.choice(self._fleet.node_names)
            self._fleet.kill(name)
            time.sleep(self._chance.uniform(0, 2))
            self._fleet.start(name)
            self._count(f"{kind}")
        elif kind == "pause":
            name = self._chance.choice(self._fleet.node_names)
            self._fleet.pause(name, self._chance.uniform(*PAUSE_S))
            self._count(kind)
        else:
            super()._kill(kind)
        self._recovery_s[kind].append(self._progress(before))
        print(f"      measured again after {self._recovery_s[kind][-1]:.1f} s", flush=True)

    def _kill_one(self, kind: str) -> str:
        """A process of the fleet; the service where there is none at the moment."""
        victim = self._found(kind)
        if victim is None:
            super()._kill("web")
            return "web"
        with contextlib.suppress(psutil.Error):
            victim.kill()
        self._count(kind)
        return kind

    def _progress(self, before: int) -> float:
        """Seconds until studies have measured more than ``before``. What ends by itself meanwhile
        is started again."""
        began_s = time.monotonic()
        while time.monotonic() - began_s < RECOVERY_S:
            self._revive()
            if self._measured() > before:
                return time.monotonic() - began_s
            time.sleep(0.2)
        self._out.wrong.append(f"no study has measured anything for {RECOVERY_S:.0f} s")
        return RECOVERY_S

    def _measured(self) -> int:
        """Measurements of studies so far; -1 while the database does not answer."""
        row = MeasurementRow
        count = select(func.count()).select_from(row).where(row.workload != WORKLOAD)
        try:
            with self._database.read() as session:
                return session.execute(count).scalar_one()
        except TonnageError:
            return -1

    def _last_checks(self) -> list[str]:
        wrong = super()._last_checks()
        if self._fleet.overlaps:
            wrong.append(f"{self._fleet.overlaps} probes found another one on the device")
        with self._database.read() as session:
            return wrong + _of_studies(session)

    def _facts(self, wall_s: float) -> dict[str, Any]:
        recovery = {
            kind: {"times": len(all_s), "median_s": median(all_s), "max_s": max(all_s)}
            for kind, all_s in sorted(self._recovery_s.items())
        }
        return {
            **super()._facts(wall_s),
            "probes": self._fleet.probes,
            "overlaps": self._fleet.overlaps,
            "measurements_of_studies": self._measured(),
            "recovery": recovery,
        }


def _of_studies(session: Session) -> list[str]:
    """Every measurement that was told of is stored once. A process that is killed may have stored
    one that it could not tell of any more: at most one in each attempt."""
    row, event = MeasurementRow, JobEventRow
    stored = dict(
        session.execute(
            select(row.study_id, func.count())
            .where(row.study_id.is_not(None))
            .group_by(row.study_id)
        ).all()
    )
    told = dict(
        session.execute(
            select(event.job_id, func.count())
            .where(event.kind == "measured")
            .group_by(event.job_id)
        ).all()
    )
    wrong = []
    for job in session.execute(select(JobRow)).scalars():
        if job.study_id != job.id:
            continue
        has, said = stored.get(job.id, 0), told.get(job.id, 0)
        if not said <= has <= said + job.attempt:
            wrong.append(
                f"study {job.id}: {said} measurements told of, {has} stored, {job.attempt} attempts"
            )
    return wrong
