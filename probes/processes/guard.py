"""The guardian: starts one program and leaves nothing of it behind.

``python guard.py STATUS_FD LIFELINE_FD ADDRESS_LIMIT [PASSED_FD …] -- PROGRAM ARGUMENTS…``

The program runs in a process group of its own. The guardian is its subreaper: processes that lose
their parent (a launcher's workers in sessions of their own) become the guardian's children. As soon
as the far end of the lifeline closes, however Tonnage ended, every descendant is killed.
``started PID``, ``ended STATUS`` and ``failed REASON`` are written to the status pipe. The guardian
then stays until the lifeline closes, so that the CPU time of its children can still be read.

``PASSED_FD`` are pipes that only the program keeps open. ``ADDRESS_LIMIT`` is in bytes, 0 for none.

Run by path; the functions that other processes need too are imported from here. Standard library
only, Python 3.10 syntax.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Collection, Iterator, Sequence

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
_PRCTL = getattr(ctypes.CDLL(None), "prctl", None)
"""Of Linux; looked up early, because little is safe between a fork and what follows it."""
SWEEPS = 200
SWEEP_S = 0.01


def main(
    status_fd: int,
    lifeline_fd: int,
    address_limit: int,
    passed_fds: Sequence[int],
    command: list[str],
) -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    os.set_inheritable(status_fd, False)
    os.set_inheritable(lifeline_fd, False)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    guardian = os.getpid()
    child = os.fork()
    if child == 0:
        _become(command, guardian, address_limit, status_fd)
    for fd in passed_fds:
        os.close(fd)
    _write(status_fd, f"started {child}")
    _release_output()
    status = _watch(child, lifeline_fd)
    if status is not None:
        _write(status_fd, f"ended {status}")
        select.select([lifeline_fd], [], [])
    end_all(lambda: descendants(guardian), then=lambda: _reap(0))


def end_all(living: Callable[[], Collection[int]], then: Callable[[], object] = int) -> None:
    """Kill the processes that ``living`` returns until it returns none, twice in a row: one that is
    killed may leave children of its own, and a list that is read while these change parents may
    miss some. ``then`` is called after each sweep. Bounded: a process that cannot be killed must
    not block the caller."""
    was_empty = False
    for _ in range(SWEEPS):
        left = living()
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        then()
        if not left and was_empty:
            return
        was_empty = not left
        if left:
            time.sleep(SWEEP_S)


def descendants(root: int) -> list[int]:
    """Every process below this one that has not been reaped. One that the system calls a zombie may
    still run: its first thread has ended, and others have not; its children are still its own."""
    children: dict[int, list[int]] = {}
    for pid, parent, _, _ in _processes():
        children.setdefault(parent, []).append(pid)
    found, open_ = [], [root]
    while open_:
        below = children.get(open_.pop(), [])
        found += below
        open_ += below
    return found


def session_members() -> set[int]:
    """Every living process of our session. Linux only."""
    ours = os.getsid(0)
    return {pid for pid, _, session, lives in _processes() if lives and session == ours}


def die_with(parent: int, number: int = signal.SIGKILL) -> None:
    """Linux: let the kernel send this process a signal when its parent process ends."""
    if _PRCTL is None:
        return
    _prctl(PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:  # it ended before the kernel was told
        os._exit(1)


def _become(command: list[str], guardian: int, address_limit: int, status_fd: int) -> None:
    """In the child: turn into the program. Never returns."""
    import resource

    for restored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(restored, signal.SIG_DFL)
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if address_limit:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (address_limit, hard))
    die_with(guardian)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        _write(status_fd, f"failed {error.strerror}")
        os._exit(127)


def _watch(child: int, lifeline_fd: int) -> int | None:
    """The program's exit status (negative for a signal); ``None`` when the lifeline closed."""
    pidfd = os.pidfd_open(child) if hasattr(os, "pidfd_open") else None
    while True:
        watched = [lifeline_fd] if pidfd is None else [lifeline_fd, pidfd]
        ready, _, _ = select.select(watched, [], [], 0.05 if pidfd is None else 1.0)
        if lifeline_fd in ready:
            return None
        status = _reap(child)
        if status is not None:
            return status


def _reap(child: int) -> int | None:
    """Collect the exit status of every process that has ended; returns that of ``child``."""
    found = None
    while True:
        try:
            ended, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if not ended:
            return found
        if ended == child:
            found = os.waitstatus_to_exitcode(status)


def _processes() -> Iterator[tuple[int, int, int, bool]]:
    """Process, parent, session (0 if unknown) of everything on this machine, and whether it lives:
    whether it is more than a zombie."""
    if not os.path.isdir("/proc/self"):
        import subprocess

        ps = subprocess.Popen(
            ["ps", "-axo", "pid=,ppid=,state="], stdout=subprocess.PIPE, text=True
        )
        for line in ps.communicate()[0].splitlines():
            pid, parent, state = line.split()
            if int(pid) != ps.pid:
                yield int(pid), int(parent), 0, state[0] not in "ZX"
        return
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as file:
                # pid (command, which may contain anything) state ppid group session ...
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        if fields:
            yield int(entry), int(fields[1]), int(fields[3]), fields[0] not in "ZX"


def _release_output() -> None:
    """Tonnage reads the program's output until its end: the guardian must not keep it open."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def _write(status_fd: int, text: str) -> None:
    os.write(status_fd, f"{text}\n".encode())


def _prctl(option: int, value: int) -> None:
    if _PRCTL is not None:
        _PRCTL(option, value, 0, 0, 0)


if __name__ == "__main__":
    separator = sys.argv.index("--")
    numbers = [int(argument) for argument in sys.argv[1:separator]]
    main(numbers[0], numbers[1], numbers[2], numbers[3:], sys.argv[separator + 1 :])
