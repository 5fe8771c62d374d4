"""The runner of a fleet: one loop for all nodes, with a ``Runner`` for each.

The engine says which nodes are there; the database says everything else. So this process may be
killed at any moment, and the next one goes on. A round costs the same few queries for one node and
for two hundred while nothing waits: see ``docs/fleet.md``.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterator

from app.database import Database
from app.database.url import is_sqlite
from app.fleet import repository as nodes
from app.fleet.engine import Engine, FleetUnavailable, NodeLost
from app.fleet.members import Member, unique_name, why_unusable
from app.fleet.nodes import Drain, NodeState
from app.jobs import deaths, demand, repository, runner_repository
from app.jobs.deaths import HeartbeatMonitor
from app.jobs.runner import POLL_S, STOP, Runner
from app.settings import RunnerSettings
from app.tuning.owner import this_place, this_process
from probes.errors import TonnageError

LOOK_S = 1.0
"""How often the nodes, and what people want of them, are looked at."""
REST_S = 5.0
"""How long a node is left alone after our process on it has ended."""

log = logging.getLogger(__name__)


class FleetRunner:
    """Runs jobs on the nodes of an engine until it is stopped.

    ``clock`` is for tests. ``step`` is one round of ``run``. Raises ``FleetUnavailable`` from
    ``run`` when the engine does not answer any more; what ran has been ended then.
    """

    def __init__(
        self,
        database: Database,
        settings: RunnerSettings,
        engine: Engine,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._settings = settings
        self._engine = engine
        self._clock = clock
        self._members: dict[str, Member] = {}
        self._held_by = runner_repository.Holder(this_process(), this_place())
        self._watch = HeartbeatMonitor(settings.dead_after_s, clock)
        self._look_at_s = self._beat_at_s = self._busy_at_s = clock()
        self._database_is_file = is_sqlite(database.url)
        self._stopping = False
        self._in_trouble = False
        self._began = False

    @property
    def members(self) -> Collection[Member]:
        return self._members.values()

    @property
    def runners(self) -> list[Runner]:
        """One for every node that can be used."""
        return [each.runner for each in self.members if each.runner is not None]

    @property
    def idle_s(self) -> float:
        """Seconds since a job ran."""
        return self._clock() - self._busy_at_s

    # -- the loop --------------------------------------------------------------------------

    def run(self, idle_exit_s: float | None = None, wanted: Callable[[], bool] = bool) -> None:
        """Until ``stop`` is called; or nothing ran for ``idle_exit_s`` seconds while nobody
        ``wanted`` the fleet."""
        try:
            while not self._stopping:
                self.step()
                if idle_exit_s is not None and self.idle_s >= idle_exit_s and not wanted():
                    log.info("Nothing to do for %.0f s: the fleet's runner ends.", self.idle_s)
                    break
                time.sleep(POLL_S)
        finally:
            self._give_back()

    def stop(self) -> None:
        """End soon; safe in a signal handler. A second call ends the studies without grace."""
        if self._stopping:
            for runner in self.runners:
                runner.stop()
                runner.stop()
        self._stopping = True

    def step(self) -> None:
        """One round. While the database cannot be used, what runs continues. Raises
        ``FleetUnavailable``."""
        try:
            self._look()
            self._beat()
            self._reap()
            self._obey()
            if not self._stopping:
                self._take()
        except FleetUnavailable:
            raise
        except TonnageError as error:
            self._watch.forget()
            if not self._in_trouble:
                log.warning("%s The fleet's runner waits for the database.", error)
            self._in_trouble = True
            return
        if self._in_trouble:
            log.info("The database is back.")
        self._in_trouble = False

    # -- nodes -----------------------------------------------------------------------------

    def _look(self) -> None:
        """Notice nodes that come, go, are ready, or are to be drained."""
        now_s = self._clock()
        self._bury_lost()
        for member in list(self.members):
            self._open(member)
        if self._began and now_s < self._look_at_s + LOOK_S:
            return
        self._look_at_s = now_s
        there = {node.id: node for node in self._engine.nodes()}
        if not self._began:
            self._begin(there.keys())
        for node_id in self._members.keys() - there.keys():
            self._lose(self._members[node_id], "is gone", NodeState.GONE)
            del self._members[node_id]
        for node_id in [each for each in there if each not in self._members]:
            self._join(Member(there[node_id], unique_name(there[node_id], self._names)))
        self._drain()

    @property
    def _names(self) -> set[str]:
        return {each.name for each in self.members}

    def _begin(self, there: Collection[str]) -> None:
        """Take over what an earlier runner of the fleet knew."""
        with self._database.write() as session:
            nodes.forget_old(session)
            for known in nodes.listing(session):
                if known.state.is_there and known.id not in there:
                    nodes.change(session, known.id, state=NodeState.GONE, runner_id=None)
        self._began = True

    def _join(self, member: Member) -> None:
        with self._database.write() as session:
            known = {each.id: each for each in nodes.listing(session)}.get(member.node.id)
            if known is None:
                nodes.add(session, member.node, member.name)
            else:
                member.name, member.drain = known.name, known.drain
                nodes.change(session, known.id, state=NodeState.JOINING, runner_id=None)
        self._members[member.node.id] = member
        log.info("Node %s (%s) joins.", member.name, member.node.address)

    def _open(self, member: Member) -> None:
        """Get a node further on its way to a runner."""
        if member.state is not NodeState.JOINING or self._stopping:
            return
        if member.drain is not Drain.NO:
            self._settle(member, NodeState.DRAINED)
            return
        if member.opening is None:
            if self._clock() >= member.open_at_s:
                member.opening = self._engine.open(member.node)
            return
        try:
            executor = member.opening.poll()
        except NodeLost as lost:
            self._rest(member, str(lost))
            return
        if executor is None:
            return
        description = executor.description
        member.executor, member.versions = executor, dict(description.versions)
        problem = why_unusable(description, database_is_file=self._database_is_file)
        if problem:
            log.warning("Node %s cannot be used: %s", member.name, problem)
            self._settle(member, NodeState.UNUSABLE, problem)
            executor.close()
            member.executor = None
            return
        member.runner = Runner(
            self._database, self._settings, executor, held_by=self._held_by, clock=self._clock
        )
        with self._database.write() as session:
            member.runner.sign_on(session, False)
        self._settle(member, NodeState.READY)
        log.info("Node %s is ready: %s.", member.name, _devices(member.runner))

    def _settle(self, member: Member, state: NodeState, reason: str = "") -> None:
        """Store the state of a node, and keep to it."""
        runner_id = member.runner.id if member.runner is not None else None
        with self._database.write() as session:
            nodes.change(
                session,
                member.node.id,
                state=state,
                reason=reason,
                versions=member.versions,
                runner_id=runner_id,
            )
        member.state = state

    def _bury_lost(self) -> None:
        """Nodes that live, but where our process has ended, are opened again."""
        ended = self._engine.lost()
        for node_id, member in self._members.items():
            executor = member.executor
            if executor is not None and (node_id in ended or executor.is_lost):
                self._rest(member, "The process of Tonnage on it has ended.")

    def _rest(self, member: Member, why: str) -> None:
        self._lose(member, "has lost the process of Tonnage on it", NodeState.JOINING, why)
        member.open_at_s = self._clock() + REST_S

    def _lose(self, member: Member, what: str, state: NodeState, reason: str = "") -> None:
        """Interrupt the jobs of a node, so that others may take them at once."""
        log.warning("Node %s %s.", member.name, what)
        if member.runner is not None:
            for job in member.runner.bury(f"Its node {member.name} {what}."):
                log.warning("Job %s is interrupted: it goes on elsewhere.", job.id)
        for closed in (member.executor, member.opening):
            if closed is not None:
                closed.close()
        member.executor = member.opening = member.runner = None
        self._settle(member, state, reason)

    def _drain(self) -> None:
        """Do what people asked for: ``tonnage fleet drain``."""
        with self._database.read() as session:
            asked = nodes.drains(session)
        for member in self.members:
            member.drain = asked.get(member.node.id, Drain.NO)
            if member.drain is Drain.NO:
                if member.state in (NodeState.DRAINING, NodeState.DRAINED):
                    self._undrain(member)
                continue
            if member.state is NodeState.READY:
                self._settle(member, NodeState.DRAINING)
            if member.state is not NodeState.DRAINING or member.runner is None:
                continue
            if member.drain is Drain.NOW:
                member.runner.is_leaving = True
                member.runner.end_all(STOP)
            if not member.runner.is_running:
                self._sign_off(member)
                self._settle(member, NodeState.DRAINED)
                log.info("Node %s is drained.", member.name)

    def _undrain(self, member: Member) -> None:
        self._settle(member, NodeState.READY if member.runner is not None else NodeState.JOINING)

    def _sign_off(self, member: Member) -> None:
        if member.runner is not None:
            member.runner.sign_off()
        if member.executor is not None:
            member.executor.close()
        member.executor = member.opening = member.runner = None

    # -- jobs ------------------------------------------------------------------------------

    def _beat(self) -> None:
        """One sign of life for all; and bury the runners of others that have ended."""
        now_s = self._clock()
        if now_s < self._beat_at_s + self._settings.heartbeat_s:
            return
        runners = self.runners
        for runner in runners:
            runner.look_around()
        with self._database.write() as session:
            known = runner_repository.beat_all(session, [each.id for each in runners])
            for runner in runners:
                runner.sign_on(session, runner.id in known)
            nodes.seen(session, list(self._members))
            deaths.bury_dead_here(session, but=[each.id for each in runners])
            for runner_id in self._watch.silent(runner_repository.listing(session)):
                deaths.bury(session, runner_id)
        self._beat_at_s = now_s

    def _reap(self) -> None:
        for runner in self.runners:
            if runner.is_running:
                self._busy_at_s = self._clock()
                runner.reap()

    def _obey(self) -> None:
        busy = [runner for runner in self.runners if runner.is_running]
        if not busy:
            return
        with self._database.read() as session:
            jobs = repository.by_ids(session, {id_ for each in busy for id_ in each.to_look_up})
        for runner in busy:
            runner.obey(jobs)

    def _take(self) -> None:
        """Start waiting jobs on free devices. Which node may take which job is found in memory, so
        that only a node that will probably get one asks the database for it."""
        free = [each.runner for each in self.members if each.takes_work]
        able = [runner for runner in free if runner is not None and runner.has_free_device]
        if not able:
            return
        with self._database.read() as session:
            wanted = demand.wanted(session)
        for runner in able:
            if not wanted:
                return
            if runner.could_take(wanted):
                for job in runner.take(look=False):
                    wanted = demand.without(wanted, job)

    # -- the end ---------------------------------------------------------------------------

    def _give_back(self) -> None:
        """End the studies, put their jobs back into the queue, sign off, and leave the engine."""
        self._stopping = True
        for runner in self.runners:
            runner.end_all(STOP)
        longest_s = max([runner.grace_s for runner in self.runners], default=0.0)
        deadline_s = self._clock() + longest_s
        while any(runner.is_running for runner in self.runners) and self._clock() < deadline_s:
            with _tolerating_the_database():
                self._reap()
            time.sleep(0.05)
        for member in self.members:
            self._sign_off(member)
        with _tolerating_the_database(), self._database.write() as session:
            for node_id in self._members:
                nodes.change(session, node_id, runner_id=None)
        self._engine.close()


@contextlib.contextmanager
def _tolerating_the_database() -> Iterator[None]:
    """What the database cannot do now, the next runner of the fleet finds out."""
    try:
        yield
    except TonnageError as error:
        log.warning("%s", error)


def _devices(runner: Runner) -> str:
    return ", ".join(f"{offer.device} ({offer.name})" for offer in runner.offers.devices)
