"""One campaign: faults at random moments, the ledger compared after each and in the end."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import psutil

from app.database import open_database
from benchmarks.faults import disk
from benchmarks.faults.checks import Checks, states, why_failed
from benchmarks.faults.clients import Clients
from benchmarks.faults.house import House
from benchmarks.faults.postgres import Postgres
from probes.errors import MeasurementError, TonnageError

KILLS = {"web": 5, "runner": 4, "study": 4, "worker": 5, "postgres": 3}
"""How often each is chosen, relative to the others."""
SET_CLOCK_EVERY, FILL_DISK_EVERY = 12, 25
"""Kills between two of them."""
CLOCK_S = 3600.0
FULL_S = 10.0
"""The disk is full for no longer, even if nobody notices."""
VICTIM_S = 20.0
"""For a process of that kind to be there at all; then another kind is killed instead."""
SETTLE_S = 240.0
"""For every study to be over in the end."""


@dataclass
class Outcome:
    """What was done, and what was wrong afterwards."""

    kills: Counter[str] = field(default_factory=Counter)
    clock_jumps: int = 0
    full_disks: int = 0
    started_again: int = 0
    """Without a database they could not begin."""
    wrong: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)


class Campaign:
    def __init__(
        self,
        house: House,
        clients: Clients,
        seed: int,
        *,
        postgres: Postgres | None = None,
        has_small_disk: bool = False,
        victims: Mapping[str, int] = KILLS,
        pause_s: tuple[float, float] = (0.3, 4.0),
    ) -> None:
        self._house = house
        self._clients = clients
        self._chance = random.Random(seed)
        self._postgres = postgres
        self._has_small_disk = has_small_disk
        self._victims = {
            kind: often
            for kind, often in victims.items()
            if kind != "postgres" or postgres is not None
        }
        self._pause_s = pause_s
        self._out = Outcome()
        self._database = open_database(house.database_url)
        self._checks = Checks(self._database, clients.ledger)

    def run(self, kills: int, writers: int) -> Outcome:
        began_s = time.monotonic()
        house, out = self._house, self._out
        try:
            self._begin()
            self._clients.start(writers)
            while out.kills.total() < kills:
                self._revive()
                time.sleep(self._chance.uniform(*self._pause_s))
                self._kill(self._victim())
                if out.kills.total() % SET_CLOCK_EVERY == 0:
                    self._set_clock()
                if out.kills.total() % FILL_DISK_EVERY == 0 and self._has_small_disk:
                    self._fill_disk()
                self._check()
            self._settle()
            out.wrong += [f"{name} ended with {status}" for name, status in self._stop() if status]
            out.wrong += [f"left behind: {each}" for each in house.left_behind()]
            out.wrong += self._last_checks()
        finally:
            house.end()
        out.facts = self._facts(time.monotonic() - began_s)
        self._database.close()
        return out

    def _begin(self) -> None:
        for member in self._house.members:
            self._house.start(member)

    def _last_checks(self) -> list[str]:
        return self._checks.in_the_end()

    def _facts(self, wall_s: float) -> dict[str, Any]:
        ledger = self._clients.ledger
        return {
            "measurements_acknowledged": len(ledger.measurements),
            "studies": states(self._database),
            "why_failed": why_failed(self._database),
            "events_seen": sum(ledger.events.values()),
            "refused_meanwhile": dict(ledger.refused),
            "started_again": self._out.started_again,
            "checks": self._checks.done,
            "wall_s": round(wall_s, 1),
        }

    # -- faults ----------------------------------------------------------------------------

    def _victim(self) -> str:
        return self._chance.choices(list(self._victims), list(self._victims.values()))[0]

    def _kill(self, kind: str) -> None:
        """Kill one, and start again what nobody else starts."""
        house = self._house
        if kind in ("study", "worker"):
            found = self._found(kind)
            if found is None:
                kind = "runner"
            else:
                with contextlib.suppress(psutil.Error):
                    found.kill()
        if kind == "postgres" and self._postgres is not None:
            self._postgres.kill(self._chance)
            time.sleep(self._chance.uniform(0, 1))
            self._postgres.start()
        if kind in ("web", "runner"):
            name = kind if kind == "web" else self._chance.choice(house.members[1:])
            house.kill(name)
            time.sleep(self._chance.uniform(0, 1))
            house.start(name)
        self._count(kind)

    def _count(self, kind: str) -> None:
        self._out.kills[kind] += 1
        print(f"{self._out.kills.total():4d}  {kind}", flush=True)

    def _found(self, kind: str) -> psutil.Process | None:
        """A process of that kind, as soon as there is one."""
        deadline_s = time.monotonic() + VICTIM_S
        while time.monotonic() < deadline_s:
            if there := self._house.victims(kind):
                return self._chance.choice(there)
            time.sleep(0.05)
        return None

    def _set_clock(self) -> None:
        """An hour back or forth, or right again, for everything at once."""
        wrong_by_s = self._chance.choice([-CLOCK_S, 0.0, CLOCK_S])
        self._house.clock.write_text(str(wrong_by_s))
        self._out.clock_jumps += 1
        print(f"      clock wrong by {wrong_by_s:+.0f} s", flush=True)

    def _fill_disk(self) -> None:
        """For as long as it takes until a client is turned away, and some more."""
        ledger, before = self._clients.ledger, self._clients.ledger.refused["unavailable"]
        disk.fill(self._house.data)
        deadline_s = time.monotonic() + FULL_S
        while ledger.refused["unavailable"] == before and time.monotonic() < deadline_s:
            disk.fill(self._house.data)  # what somebody else has freed
            time.sleep(0.1)
        time.sleep(self._chance.uniform(0, 3))
        disk.free(self._house.data)
        if self._postgres is not None and self._postgres.is_dead:  # it gives up without a log
            self._postgres.start()
        self._out.full_disks += 1
        print("      disk was full", flush=True)

    def _revive(self) -> None:
        """What could not begin without its database is started again, as whatever manages services
        does. Nothing else may end by itself."""
        for name, status in self._house.ended():
            if status == MeasurementError.exit_code:
                self._out.started_again += 1
            else:
                self._out.wrong.append(f"{name} ended by itself with {status}")
            self._house.start(name)

    # -- looking ---------------------------------------------------------------------------

    def _check(self) -> None:
        for _ in range(50):
            try:
                wrong = self._checks.now()
            except TonnageError:  # the server is still recovering
                time.sleep(0.2)
                continue
            for each in wrong:
                print(f"WRONG {each}", flush=True)
            self._out.wrong += wrong
            return
        self._out.wrong.append("the database did not come back")

    def _settle(self) -> None:
        """Nobody kills any more: everything asked for comes to its end."""
        self._clients.stop()
        deadline_s = time.monotonic() + SETTLE_S
        while self._clients.are_waiting and time.monotonic() < deadline_s:
            self._revive()
            time.sleep(0.2)
        self._clients.give_up()

    def _stop(self) -> list[tuple[str, int | None]]:
        return [
            (name, -1 if status is None else status) for name, status in self._house.stop().items()
        ]
