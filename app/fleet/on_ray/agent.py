"""Our process on a node: an actor, pinned there, that describes the node and runs jobs on it.

It runs in Tonnage's interpreter; the probe's worker is started in the user's, as everywhere. Jobs
are children of it: they end with it, however it ends. Ray never starts it again by itself, because
what a job may repeat is decided by the database.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from app.fleet.environment import cleaned, settle_in
from app.jobs.detect import state_of_file
from app.jobs.executor import JOB_COMMAND, end, start_process
from app.jobs.process import DATABASE_VARIABLE

POLL_S = 0.05
DESCRIBE_S = 300.0
"""An interpreter may take minutes to import torch from a slow disk."""


class Agent:
    """``ray.remote(Agent)``. All methods are coroutines of one thread, which lives as long as the
    process: on Linux the kernel ends a child with the *thread* that started it."""

    command: Sequence[str] = JOB_COMMAND
    """Starts a job's process; tests replace it."""

    def __init__(self) -> None:
        settle_in()
        self._file = state_of_file()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    async def stay(self) -> None:
        """Never returns: who waits for it learns when this process has ended."""
        while True:
            await asyncio.sleep(3600)

    async def describe(self) -> dict[str, Any]:
        """``Description.to_dict`` of this node. Takes seconds."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "app.fleet.describe", str(os.getpid())),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=cleaned(os.environ),
        )
        try:
            said, complained = await asyncio.wait_for(process.communicate(), DESCRIBE_S)
        except TimeoutError:
            process.kill()
            raise RuntimeError(f"its devices were not found within {DESCRIBE_S:.0f} s") from None
        if process.returncode != 0:
            last = complained.decode(errors="replace").strip().splitlines()[-1:]
            raise RuntimeError(" ".join(last) or f"exit status {process.returncode}")
        found: dict[str, Any] = json.loads(said)
        return found

    async def changed(self) -> dict[str, Any] | None:
        """The description again if ``tonnage.toml`` is another one than at the last look."""
        state = state_of_file()
        if state == self._file:
            return None
        self._file = state
        return await self.describe()

    async def start(self, key: str, arguments: list[str], database_url: str) -> int:
        """Start a job's process; returns its number. Raises ``OSError``."""
        signal.pthread_sigmask(
            signal.SIG_SETMASK, set()
        )  # Ray blocks SIGINT; a child inherits that
        process = start_process(
            [*self.command, *arguments],
            {**cleaned(os.environ), DATABASE_VARIABLE: database_url},
        )
        self._processes[key] = process
        return process.pid

    async def wait(self, key: str) -> int:
        """The exit status of a job's process, when it has ended."""
        process = self._processes[key]
        while process.poll() is None:
            await asyncio.sleep(POLL_S)
        end(self._processes.pop(key))
        return process.returncode

    async def send_signal(self, key: str, number: int) -> None:
        """Does nothing when the process has ended."""
        process = self._processes.get(key)
        if process is not None:
            process.send_signal(number)

    async def end_all(self) -> None:
        """Kill what runs."""
        for process in self._processes.values():
            process.kill()
