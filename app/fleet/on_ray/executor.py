"""Jobs on one node, through our actor there."""

from __future__ import annotations

import contextlib
import errno
import logging
import signal
import time
from collections.abc import Callable
from itertools import count
from types import ModuleType
from typing import Any

from app.database import Database
from app.fleet.engine import NodeExecutor, NodeLost, labelled
from app.fleet.nodes import Description, SeenNode
from app.jobs.executor import Process, arguments
from app.jobs.offers import DeviceOffer, Offers
from app.jobs.records import Job
from app.tuning.owner import Owner
from probes.errors import MeasurementError
from probes.formatting import first_line

CALL_S = 10.0
"""How long the answer to a short call may take. A node that hangs longer is as good as lost."""
KILL_S = 10.0
"""How long a kill may take before the whole process of ours on the node is killed."""
OPEN_S = 360.0
"""How long a node may take to describe itself, with the start of its process."""

log = logging.getLogger(__name__)


class RayExecutor(NodeExecutor):
    """See ``Executor``. ``actor`` is the handle of an ``Agent``."""

    def __init__(
        self,
        ray: ModuleType,
        actor: Any,
        node: SeenNode,
        description: Description,
        database: Database,
    ) -> None:
        self._ray = ray
        self._actor = actor
        self._node = node
        self._description = description
        self._database = database
        self._keys = count(1)
        self._running: list[RemoteProcess] = []
        self._is_lost = False
        self._looking: Any = None

    @property
    def description(self) -> Description:
        return self._description

    @property
    def owner(self) -> Owner:
        return self._description.owner

    @property
    def place(self) -> str:
        return self._description.place

    @property
    def is_lost(self) -> bool:
        return self._is_lost or any(each.is_lost for each in self._running)

    @property
    def node(self) -> str:
        return self._node.labels.get("tonnage/name") or self._node.host

    def offers(self) -> Offers:
        offers = self._description.offers
        if offers is None:
            raise MeasurementError(self._description.problem)
        return labelled(offers, self._node.labels)

    def changed(self) -> Offers | None:
        """Asks now, and gives the answer when it is asked the next time: a look takes seconds."""
        if self._looking is None:
            self._looking = self._actor.changed.remote()
            return None
        ready, _ = self._ray.wait([self._looking], timeout=0)
        if not ready:
            return None
        looked, self._looking = self._looking, None
        try:
            found = self._ray.get(looked, timeout=CALL_S)
        except self._ray.exceptions.RayError as error:
            log.warning("Node %s could not look again: %s", self.node, last_line(error))
            return None
        if found is None:
            return None
        described = Description.from_dict(found)
        if described.offers is None:
            log.warning("Node %s: %s What it offered before stays.", self.node, described.problem)
            return None
        self._description = described
        return self.offers()

    def start(self, job: Job, runner_id: str, offer: DeviceOffer) -> Process:
        key = str(next(self._keys))
        told = arguments(job, runner_id, offer)
        asked = self._actor.start.remote(key, told, self._database.full_url)
        try:
            pid = self._ray.get(asked, timeout=CALL_S)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            known = isinstance(cause, OSError)
            raise cause if known else OSError(errno.EIO, str(cause)) from None
        except self._ray.exceptions.GetTimeoutError:
            kill(self._ray, self._actor)  # it may have started all the same
            raise OSError(errno.ETIMEDOUT, f"its node did not answer for {CALL_S:.0f} s") from None
        except self._ray.exceptions.RayError as error:
            self._is_lost = True
            raise OSError(errno.EHOSTDOWN, f"its node is lost: {first_line(error)}") from None
        process = RemoteProcess(self._ray, self._actor, key, pid)
        self._running = [each for each in self._running if not each.has_ended] + [process]
        return process

    def close(self) -> None:
        """End our process on the node, and with it all that it has started."""
        for process in self._running:
            process.kill()
        kill(self._ray, self._actor)


class RemoteProcess:
    """A job's process on a node. If the node or our process on it is gone, so is this one: it has
    then been killed, as ``poll`` says."""

    def __init__(
        self,
        ray: ModuleType,
        actor: Any,
        key: str,
        pid: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.pid = pid
        """On its own host."""
        self.is_lost = False
        """Whether it ended with its node, or with our process there."""
        self._ray = ray
        self._actor = actor
        self._key = key
        self._clock = clock
        self._ended = actor.wait.remote(key)
        self._status: int | None = None
        self._kill_at_s: float | None = None

    def poll(self) -> int | None:
        if self._status is not None:
            return self._status
        ready, _ = self._ray.wait([self._ended], timeout=0)
        if ready:
            try:
                self._status = self._ray.get(self._ended, timeout=CALL_S)
            except self._ray.exceptions.GetTimeoutError:
                return None
            except self._ray.exceptions.RayError as error:
                log.debug("The process of a job is lost with its node: %s", error)
                self._status = -signal.SIGKILL
                self.is_lost = True
        elif self._kill_at_s is not None and self._clock() >= self._kill_at_s:
            kill(self._ray, self._actor)
        return self._status

    @property
    def has_ended(self) -> bool:
        """Whether ``poll`` has told its exit status, which was the job's own doing."""
        return self._status is not None and not self.is_lost

    def send_signal(self, sig: int) -> None:
        if self._status is None:
            self._actor.send_signal.remote(self._key, int(sig))

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)
        self._kill_at_s = self._kill_at_s or self._clock() + KILL_S


class RayOpening:
    """A node whose actor has been started and is describing it."""

    def __init__(
        self,
        ray: ModuleType,
        actor: Any,
        node: SeenNode,
        database: Database,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ray, self._actor, self._node, self._database = ray, actor, node, database
        self._clock = clock
        self._until_s = clock() + OPEN_S
        self._described = actor.describe.remote()
        self._executor: RayExecutor | None = None

    def poll(self) -> RayExecutor | None:
        ready, _ = self._ray.wait([self._described], timeout=0)
        if not ready:
            if self._clock() >= self._until_s:
                self.close()
                raise NodeLost(f"It did not report its devices within {OPEN_S:.0f} s.")
            return None
        try:
            described = self._ray.get(self._described, timeout=CALL_S)
        except self._ray.exceptions.RayError as error:
            self.close()
            raise NodeLost(f"It did not report its devices: {last_line(error)}") from None
        found = Description.from_dict(described)
        return RayExecutor(self._ray, self._actor, self._node, found, self._database)

    def close(self) -> None:
        kill(self._ray, self._actor)


def kill(ray: ModuleType, actor: Any) -> None:
    """End an actor; it is not started again."""
    with contextlib.suppress(Exception):  # it may be gone, and so may the connection
        ray.kill(actor, no_restart=True)


def last_line(error: BaseException) -> str:
    return next(reversed(str(error).strip().splitlines()), type(error).__name__)
