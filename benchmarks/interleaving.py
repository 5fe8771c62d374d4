"""Training processes that take turns of a few steps, so that they all see the same machine.

On a machine that others use, the speed changes by a third from one second to the next, and whoever
runs ten seconds later is compared with another machine. Here one process stands still while another
trains, and its clocks stand still with it: to the code that is measured, it runs alone.

The referee is ``Referee``, in the process that starts the others; these go through ``in_turns``
where the environment names the referee.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

VARIABLE = "TONNAGE_BENCHMARK_TURNS"
"""Environment variable with the socket of the referee."""
STEPS = 3
"""Batches that a turn lasts."""
PATIENCE_S = 120.0
"""Nobody takes longer to come, or to train for a turn."""


class _Clocks:
    """``time.perf_counter`` and ``time.monotonic`` of this process, less what it has waited."""

    def __init__(self) -> None:
        self.waited_s = 0.0
        self.real = time.perf_counter
        real_monotonic = time.monotonic
        time.perf_counter = lambda: self.real() - self.waited_s
        time.monotonic = lambda: real_monotonic() - self.waited_s


def in_turns(batches: Iterator[Any]) -> Iterator[Any]:
    """The batches, the next one only when it is our turn. One such iterator in a process.

    The last turn lasts until the process has ended: what that takes is no other's to share.
    """
    clocks = _Clocks()
    referee = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    referee.connect(os.environ[VARIABLE])
    os.dup(referee.fileno())  # which nobody closes but the kernel, last of all
    for number, batch in enumerate(batches):
        if number % STEPS == 0:
            began_s = clocks.real()
            referee.send(b"?")
            if not referee.recv(1):
                raise ConnectionError("the referee has gone")
            clocks.waited_s += clocks.real() - began_s
        yield batch


class Referee:
    """Lets ``players`` processes train in turns until each has ended: a context to start them in.

    Leaving it waits for their ends and raises ``TimeoutError`` if one never came.
    """

    def __init__(self, address: Path, players: int) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        address.unlink(missing_ok=True)
        self._listener.bind(str(address))
        self._listener.listen(players)
        self._players = players
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.join()
        self._listener.close()
        if error is None and self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        lines = []
        try:
            for _ in range(self._players):
                lines.append(self._come())
            while lines:
                for line in list(lines):
                    line.send(b"!")
                    if not _asks_again(line):
                        lines.remove(line)
                        line.close()
        except (OSError, TimeoutError) as error:
            self._failure = error
        finally:
            for line in lines:
                line.close()

    def _come(self) -> socket.socket:
        if not select.select([self._listener], [], [], PATIENCE_S)[0]:
            raise TimeoutError("a process never asked for its first turn")
        line, _ = self._listener.accept()
        _asks_again(line)
        return line


def _asks_again(line: socket.socket) -> bool:
    """Wait for the end of its turn. False: it has ended."""
    if not select.select([line], [], [], PATIENCE_S)[0]:
        raise TimeoutError("a turn did not end")
    return bool(line.recv(1))
