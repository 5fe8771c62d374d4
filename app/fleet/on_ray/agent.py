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

from app.fleet.environment import SECRET_VARIABLE, cleaned, settle_in
from app.jobs.detect import state_of_file
from app.jobs.executor import JOB_COMMAND, end, start_process
from app.jobs.process import DATABASE_VARIABLE

POLL_S = 0.05
DESCRIBE_S = 300.0
"""An interpreter may take minutes to import torch from a slow disk."""
HOST_S = 60.0
"""How long the process that hosts ranks may take to listen."""


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

    async def host_ranks(self, interface: str, secret: str) -> int:
        """Start the process that runs ranks here for a gang whose parent knows the secret; returns
        the port on which it listens. Raises ``RuntimeError`` where it does not start."""
        told, tells = os.pipe()
        try:
            process = start_process(
                [sys.executable, "-P", "-m", "app.fleet.rank_host", interface, str(tells)],
                {**cleaned(os.environ), SECRET_VARIABLE: secret},
                pass_fds=(tells,),
            )
        finally:
            os.close(tells)
        self._processes[f"ranks {process.pid}"] = process
        with os.fdopen(told) as opened:
            said = await asyncio.wait_for(asyncio.to_thread(opened.readline), HOST_S)
        if not said.strip().isdigit():
            raise RuntimeError(f"its process ended with status {process.wait()}; see tonnage.log")
        return int(said)

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
