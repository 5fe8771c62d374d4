"""What a probe may leave behind: processes, listening ports, files. Looked for from outside."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

MARK = "TONNAGE_BENCHMARK_RANKS"
"""Environment variable that every process of a campaign inherits, whatever session it enters."""
PATIENCE_S = 2.0
POLL_S = 0.05


class Watch:
    """Knows what belongs to a campaign. ``temporary`` is a folder that nobody else writes to."""

    def __init__(self, mark: str, temporary: Path) -> None:
        self.mark = mark
        self.temporary = temporary
        os.environ[MARK] = mark

    def left(self, *, workers_may_stay: bool) -> list[str]:
        """What is left now, in words. ``workers_may_stay``: the idle workers of a gang and their
        guardians, which answer the next probe, are no leftovers."""
        found = []
        for process in self.processes():
            try:
                idle = workers_may_stay and _is_of_gang(process)
                if not idle:
                    found.append(f"process {process.pid}: {' '.join(process.cmdline())[:100]}")
                found += [
                    f"process {process.pid} listens on port {connection.laddr.port}"
                    for connection in process.net_connections("inet")
                    if connection.status == psutil.CONN_LISTEN
                ]
            except psutil.NoSuchProcess:
                continue
        return found + [
            f"file {path}"
            for path in sorted(self.temporary.rglob("*"))
            if path.is_file() or path.name.startswith("tonnage-")  # else a cache folder of torch's
        ]

    def wait(self, *, workers_may_stay: bool) -> tuple[float, list[str]]:
        """Seconds until nothing was left, and what was left after ``PATIENCE_S``."""
        began_s = time.monotonic()
        while found := self.left(workers_may_stay=workers_may_stay):
            if time.monotonic() - began_s > PATIENCE_S:
                break
            time.sleep(POLL_S)
        return round(time.monotonic() - began_s, 2), found

    def processes(self) -> Iterator[psutil.Process]:
        """Every process of the campaign but this one."""
        return marked(self.mark)


def marked(mark: str) -> Iterator[psutil.Process]:
    """Every process but this one that was started with this mark, itself or above it. Dead ones
    that wait for their parent to ask are gone for all that matters."""
    wanted = f"{MARK}={mark}".encode()
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            environ = Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
            if wanted in environ and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (OSError, psutil.NoSuchProcess):
            continue


def end_marked(mark: str) -> None:
    """Kill all of them."""
    while found := list(marked(mark)):
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=PATIENCE_S)


def _is_of_gang(process: psutil.Process) -> bool:
    """Whether it is an idle worker or its guardian, and not a fork that trains."""
    parent = process.parent()
    if parent is not None and parent.pid == os.getpid():
        return "guard.py" in " ".join(process.cmdline())
    above = parent.parent() if parent is not None else None
    return above is not None and above.pid == os.getpid() and _is_worker(process)


def _is_worker(process: psutil.Process) -> bool:
    return any(word.endswith("boot.py") for word in process.cmdline())
