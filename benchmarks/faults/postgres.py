"""A PostgreSQL server of one's own, to be killed."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil

from benchmarks.faults.house import free_port

BINARIES = "/usr/lib/postgresql"
START_TIMEOUT_S = 60.0
OPTIONS = "-c listen_addresses=127.0.0.1 -c min_wal_size=32MB -c max_wal_size=64MB"


class Postgres:
    """With a database ``tonnage`` in it. What it acknowledged is on its disk (``fsync`` is on)."""

    def __init__(self, folder: Path) -> None:
        found = sorted(Path(BINARIES).glob("*/bin"), key=lambda each: int(each.parent.name))
        if not found:
            raise SystemExit(f"There is no PostgreSQL server below {BINARIES}.")
        self._bin = found[-1]
        self._data = folder / "postgres"
        self._log = folder / "postgres.log"
        self._port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        self._do("initdb", "-D", str(self._data), "-U", "tonnage", "-A", "trust", "-E", "UTF8")
        self.start()
        self._do("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "tonnage", "tonnage")

    @property
    def url(self) -> str:
        return f"postgresql://tonnage@127.0.0.1:{self._port}/tonnage"

    def start(self) -> None:
        """Until it answers. What is left of a killed one may be in the way for a moment."""
        options = f"-p {self._port} -k {self._data} {OPTIONS}"
        command = ["pg_ctl", "-D", str(self._data), "-w", "-l", str(self._log), "-o", options]
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while self.is_dead:
            with contextlib.suppress(subprocess.CalledProcessError):
                self._do(*command, "start")
            if time.monotonic() > deadline_s:
                raise SystemExit(f"PostgreSQL does not start: {self._log.read_text()[-2000:]}")

    @property
    def is_dead(self) -> bool:
        return self._postmaster is None

    def kill(self, chance: random.Random) -> str:
        """The server, with or without those that work for it, or one of these alone."""
        postmaster = self._postmaster
        assert postmaster is not None
        workers = postmaster.children()
        how = chance.choice(["server", "everything", "connection"])
        victims = {"server": [postmaster], "everything": [postmaster, *workers]}.get(how)
        for victim in victims or [chance.choice(workers)]:
            with contextlib.suppress(psutil.Error):
                victim.kill()
        if victims:
            with contextlib.suppress(psutil.TimeoutExpired):
                postmaster.wait(10)
        return how

    def stop(self) -> None:
        if self._postmaster is not None:
            self._postmaster.send_signal(signal.SIGINT)
            psutil.wait_procs([self._postmaster], timeout=20)

    @property
    def _postmaster(self) -> psutil.Process | None:
        try:
            process = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
            is_it = process.name() == "postgres" and process.status() != psutil.STATUS_ZOMBIE
            return process if is_it and str(self._data) in process.cmdline() else None
        except (OSError, ValueError, IndexError, psutil.Error):
            return None

    def _do(self, program: str, *arguments: str) -> None:
        """As another user than root, whom the server refuses."""
        other = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        command = [*(other if os.getuid() == 0 else []), str(self._bin / program), *arguments]
        subprocess.run(
            command, cwd="/", check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
