"""A node of a gang, and a worker there, as the parent sees them."""

from __future__ import annotations

import threading
import time
from dataclasses import fields
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection
from typing import Any

from probes.group import Group
from probes.isolation import CALLED_OFF_S, Call, WorkerReply
from probes.ranks.remote.wire import BEAT_S, LOST_S, HostLost, dial
from probes.timeouts import ExpectedStep, Progress, Timeouts

OWN_CLOCK = ("answered_s", "pulse")
"""Fields of a reply with times of the other host's clock."""


class Host:
    """The process on a node. ``close`` it in the end: everything that it started ends then.

    Raises ``HostLost`` where it cannot be reached.
    """

    def __init__(self, name: str, address: tuple[str, int], secret: bytes) -> None:
        self.name = name
        self.address = address
        self._secret = secret
        self._lock = threading.Lock()
        self.lost = ""
        """Why it is gone; empty while it is there."""
        self._control = self.connect("control")

    def ask(self, method: str, /, **arguments: Any) -> Any:
        """What a method of ``Services`` there returns. Raises what it raises, and ``HostLost``."""
        with self._lock:
            if self.lost:
                raise HostLost(self.lost)
            try:
                self._control.send((method, arguments))
                return _value(self._control)
            except (EOFError, OSError) as error:
                raise self.lose(error) from None

    def connect(self, *opening: Any) -> Connection:
        """Another connection, for what ``opening`` says. Raises ``HostLost``."""
        if self.lost:
            raise HostLost(self.lost)
        try:
            connection = dial(self.address, self._secret)
            connection.send(opening)
        except (EOFError, OSError, AuthenticationError) as error:
            raise self.lose(error) from None
        return connection

    def lose(self, error: BaseException) -> HostLost:
        """Note that it is gone."""
        text = str(error) or type(error).__name__
        if isinstance(error, (EOFError, ConnectionError)):
            text = "the process of Tonnage there has ended, or the host has"
        elif isinstance(error, TimeoutError):
            text = "it does not answer any more"
        self.lost = self.lost or f"Node {self.name} is lost: {text}."
        return HostLost(self.lost)

    def close(self) -> None:
        self._control.close()
        self.lost = self.lost or f"Node {self.name} has been left."


class RemoteWorker:
    """A ``Worker`` on another host."""

    pid = 0
    """Process numbers of another host mean nothing here."""

    def __init__(self, host: Host, group: Group, rank: int) -> None:
        self._host = host
        self._state: str | None = None
        self._is_closed = False
        self._connection = host.connect("worker", group.to_dict(), rank)
        try:
            _value(self._connection)
        except (EOFError, OSError) as error:
            raise host.lose(error) from None

    @property
    def alive(self) -> bool:
        if self._is_closed:
            return False
        try:
            self._connection.send(("alive",))
            return bool(_value(self._connection))
        except (EOFError, OSError):
            return False

    def state_of(self, _pid: int) -> str | None:
        """The state of the process that runs the job there, as of a second ago."""
        return self._state

    def request(
        self,
        job: dict[str, Any],
        timeouts: Timeouts,
        on_progress: Progress | None = None,
        expected: ExpectedStep | None = None,
        call: Call | None = None,
    ) -> WorkerReply:
        """See ``Worker.request``. A node that is lost is an end of the job, not an error."""
        call = call or Call(poll_s=BEAT_S)
        began_s = time.monotonic()
        try:
            self._connection.send(("request", job, timeouts, expected))
            self._listen(call, on_progress)
        except (EOFError, OSError) as error:
            self.close()
            if call.is_off:
                call.reply.called_off = True
            else:
                call.reply.lost = str(self._host.lose(error))
        reply = call.reply
        reply.answered_s = reply.answered_s or time.monotonic()
        reply.wall_s = reply.wall_s or time.monotonic() - began_s
        return reply

    def _listen(self, call: Call, on_progress: Progress | None) -> None:
        reply = call.reply
        heard_s, told_off = time.monotonic(), False
        while True:
            now_s = time.monotonic()
            if call.is_off and not told_off:
                told_off = True
                self._connection.send(("call_off",))
            if told_off and now_s - call.off_s > 2 * CALLED_OFF_S:
                raise TimeoutError
            if not self._connection.poll(min(BEAT_S, call.poll_s)):
                if now_s - heard_s > LOST_S:
                    raise TimeoutError
                continue
            heard_s = now_s
            if self._hear(reply, self._connection.recv(), on_progress):
                return

    def _hear(self, reply: WorkerReply, message: Any, on_progress: Progress | None) -> bool:
        """Take note of what the node says; true when the job is over."""
        said, *more = message
        if said == "progress":
            if more[0]["event"] != "measured":
                reply.last_progress = {**reply.last_progress, **more[0]}
            if on_progress is not None:
                on_progress(more[0])
        elif said == "result":
            reply.result, reply.answered_s = more[0], time.monotonic()
        elif said == "beat":
            self._state = more[0]
            if more[1]:
                reply.pulse = {**more[1], "at_s": time.monotonic()}
        elif said == "error":
            raise more[0]
        elif said == "reply":
            self._take(reply, more[0])
            return True
        return False

    def _take(self, reply: WorkerReply, told: WorkerReply) -> None:
        for each in fields(WorkerReply):
            if each.name not in OWN_CLOCK:
                setattr(reply, each.name, getattr(told, each.name))
        if told.pulse:
            reply.pulse = {**told.pulse, "at_s": time.monotonic()}

    def close(self) -> None:
        """End it with all that it started. Safe to call twice."""
        self._is_closed = True
        self._connection.close()


def _value(connection: Connection) -> Any:
    """What the other side returns or raises. ``TimeoutError`` where it is silent."""
    while connection.poll(LOST_S):
        said, *more = connection.recv()
        if said == "value":
            return more[0]
        if said == "error":
            raise more[0]
    raise TimeoutError
