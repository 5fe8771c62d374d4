"""Starts one command and leaves nothing of it behind; run by path, never imported.

``python guardian.py STATUS_FD LIFELINE_FD ADDRESS_LIMIT -- PROGRAM ARGUMENTS…``

The command runs in a process group of its own. What it starts and loses (a launcher's workers in
sessions of their own) comes to this process, its subreaper. As soon as the far end of the lifeline
closes, however Tonnage ended, every descendant is killed. ``started PID`` and ``ended STATUS`` are
written to the status pipe; the guardian then stays until the lifeline closes, so that the time its
children have used can be asked for. Standard library only, nothing heavy.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SWEEPS = 200
SWEEP_S = 0.01


def main(status_fd: int, lifeline_fd: int, address_limit: int, command: list[str]) -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    os.set_inheritable(status_fd, False)
    os.set_inheritable(lifeline_fd, False)
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    guardian = os.getpid()
    child = os.fork()
    if child == 0:
        _become(command, guardian, address_limit, status_fd)
    _say(status_fd, f"started {child}")
    _let_go_of_output()
    status = _watch(child, lifeline_fd)
    if status is not None:
        _say(status_fd, f"ended {status}")
        select.select([lifeline_fd], [], [])
    _end_descendants()


def _become(command: list[str], guardian: int, address_limit: int, status_fd: int) -> None:
    """In the child: turn into the command. Never returns."""
    import resource

    for restored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(restored, signal.SIG_DFL)
    os.setpgid(0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if address_limit:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (address_limit, hard))
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guardian:
        os._exit(1)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        _say(status_fd, f"failed {error.strerror}")
        os._exit(127)


def _watch(child: int, lifeline_fd: int) -> int | None:
    """The command's exit status (negative for a signal); ``None`` when the lifeline closed."""
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
    """Wait for everybody that has ended; the status of the command if it is among them."""
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


def _end_descendants() -> None:
    """Kill them until there is none: one that is killed hands its own children to us."""
    for _ in range(SWEEPS):
        left = descendants(os.getpid())
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
        _reap(0)
        if not left:
            return
        time.sleep(SWEEP_S)


def descendants(root: int) -> list[int]:
    """Every living process below this one."""
    children: dict[int, list[int]] = {}
    for pid, parent, state in _processes():
        if state not in "ZX":
            children.setdefault(parent, []).append(pid)
    found, open_ = [], [root]
    while open_:
        below = children.get(open_.pop(), [])
        found += below
        open_ += below
    return found


def _processes() -> list[tuple[int, int, str]]:
    found = []
    if not os.path.isdir("/proc/self"):
        import subprocess

        ps = subprocess.Popen(
            ["ps", "-axo", "pid=,ppid=,state="], stdout=subprocess.PIPE, text=True
        )
        for line in ps.communicate()[0].splitlines():
            pid, parent, state = line.split()
            if int(pid) != ps.pid:
                found.append((int(pid), int(parent), state[0]))
        return found
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        found.append((int(entry), int(fields[1]), fields[0]))
    return found


def _let_go_of_output() -> None:
    """Tonnage reads the command's output until its end: nobody else must keep it open."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def _say(status_fd: int, words: str) -> None:
    os.write(status_fd, f"{words}\n".encode())


def _prctl(option: int, value: int) -> None:
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    separator = sys.argv.index("--")
    numbers = [int(argument) for argument in sys.argv[1:separator]]
    main(numbers[0], numbers[1], numbers[2], sys.argv[separator + 1 :])
