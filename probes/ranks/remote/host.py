"""The process on a node: starts the ranks that a gang's parent on another host wants there.

It ends with its parent's connection, and everything that it started ends with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from typing import Any

from probes.devices import host
from probes.errors import MeasurementError, TonnageError
from probes.group import Group
from probes.isolation import Call, Worker
from probes.ranks.environment import environment_of
from probes.ranks.remote.services import Services
from probes.ranks.remote.wire import BEAT_S, welcome
from probes.timeouts import ExpectedStep, Timeouts

POLL_S = 0.05
AWAITED_S = 60.0
"""How long the parent may take to come."""


class RankHost:
    """Listens on ``services.interface`` alone; ``port`` is where. ``run`` returns when the parent
    has gone, or has not come."""

    def __init__(self, services: Services, secret: bytes) -> None:
        self._services = services
        self._secret = secret
        self._listener = Listener((services.interface, 0), backlog=64)
        self._came, self._over = threading.Event(), threading.Event()

    @property
    def port(self) -> int:
        port: int = self._listener.address[1]
        return port

    def run(self, awaited_s: float = AWAITED_S) -> None:
        threading.Thread(target=self._accept, name="accept", daemon=True).start()
        if self._came.wait(awaited_s):
            self._over.wait()
        self._listener.close()
        self._services.close()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                connection = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: Connection) -> None:
        with connection:
            try:
                welcome(connection, self._secret)
                asked, *more = connection.recv()
                if asked == "control":
                    self._obey(connection)
                else:
                    self._run_rank(connection, Group.from_dict(more[0]), more[1])
            except (EOFError, OSError, AuthenticationError):  # it went away, or is a stranger
                return

    def _obey(self, connection: Connection) -> None:
        """Call what the parent asks for, until it goes."""
        self._came.set()
        try:
            while True:
                name, arguments = connection.recv()
                _answer(connection, partial(self._call, name, arguments))
        finally:
            self._over.set()

    def _call(self, name: str, arguments: dict[str, Any]) -> Any:
        return self._services.method(name)(**arguments)

    def _run_rank(self, connection: Connection, group: Group, rank: int) -> None:
        """A worker for a rank, until the parent hangs up."""
        services = self._services
        try:
            environment = {**environment_of(group, rank), **services.environment}
            worker = Worker(services.python, environment)
        except MeasurementError as error:
            connection.send(("error", error))
            return
        with worker:
            services.worker_pids.add(worker.pid)
            try:
                connection.send(("value", None))
                while True:
                    asked, *more = connection.recv()
                    if asked == "alive":
                        connection.send(("value", worker.alive))
                    elif asked == "request":
                        self._request(connection, worker, *more)
            finally:
                services.worker_pids.discard(worker.pid)

    def _request(
        self,
        connection: Connection,
        worker: Worker,
        job: dict[str, Any],
        timeouts: Timeouts,
        expected: ExpectedStep | None,
    ) -> None:
        """Run a job, and pass on what the worker says meanwhile."""
        call = Call(poll_s=POLL_S)
        sending = threading.Lock()

        def send(*message: Any) -> None:
            with sending:
                connection.send(message)

        def heard(message: dict[str, Any]) -> None:
            try:
                send("progress", message)
            except OSError:
                call.call_off()

        job = self._services.localised(job)
        told_result, beat_s = False, 0.0
        with ThreadPoolExecutor(1) as pool:
            try:
                running = pool.submit(worker.request, job, timeouts, heard, expected, call)
                while not running.done():
                    if connection.poll(POLL_S) and connection.recv()[0] == "call_off":
                        call.call_off()
                    if call.reply.result is not None and not told_result:
                        told_result = True
                        send("result", call.reply.result)
                    if time.monotonic() - beat_s > BEAT_S:
                        beat_s = time.monotonic()
                        pid = call.reply.last_progress.get("pid")
                        state = host.process_state(int(pid)) if pid else None
                        send("beat", state, call.reply.pulse)
            except (EOFError, OSError):
                call.call_off()
                raise
        error = running.exception()
        if error is not None:
            send("error", _known(error))
        else:
            send("reply", running.result())


def _answer(connection: Connection, work: Callable[[], Any]) -> None:
    """Send what ``work`` returns or raises; and meanwhile that it is being worked on."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        while not wait([running], BEAT_S).done:
            connection.send(("beat",))
    error = running.exception()
    connection.send(("value", running.result()) if error is None else ("error", _known(error)))


def _known(error: BaseException) -> TonnageError:
    """The error as one that the parent can read and show."""
    if isinstance(error, TonnageError):
        return error
    return MeasurementError(f"{type(error).__name__}: {error}")
