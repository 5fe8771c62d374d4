"""A virtual environment whose interpreter has imported what it needs before it is started.

Each command under test, and the worker that it starts, imports for a second or more; most of a
command's time is that. The interpreter here hands their start over to a process that has imported
everything already, which forks it; whatever else it is asked to run, the real interpreter runs.
What is started so is no child of who starts it: tests that send signals to a command, or look for
its processes, need the real one.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

import app
from probes.devices.environment import worker_environment
from probes.worker.fork_server import end_after

COMMAND = "from app.cli import main; main()"
LAUNCHER = """#!{python} -IS
import json, os, signal, socket, sys
def is_open(fd):
    try:
        return os.fstat(fd) is not None
    except OSError:
        return False  # it was of the listing itself
if sys.argv[1:2] and sys.argv[1].endswith("boot.py"):
    kind, fds = "worker", [fd for fd in map(int, os.listdir("/proc/self/fd")) if is_open(fd)]
elif sys.argv[1:3] == ["-c", {command!r}] and os.path.exists({folder!r} + "/command"):
    kind, fds = "command", [0, 1, 2]
else:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
start = {{"argv": sys.argv[1:], "cwd": os.getcwd(), "environ": dict(os.environ), "fds": fds}}
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
line.connect({folder!r} + "/" + kind)
socket.send_fds(line, [json.dumps(start).encode()], fds)
for fd in fds:
    os.close(fd)  # only the other has them now
status = int(line.recv(16) or b"1")
if status < 0:
    os.kill(os.getpid(), -status)
    signal.pause()
os._exit(status)
"""
IMPORTED_LATE = ("alembic.command", "optuna", "sklearn.gaussian_process")
LARGEST_START = 1 << 20
FREE_FDS = 256
"""Above every number that a worker's descriptors have."""
MOST_FDS = 64


class WarmEnvironment:
    """``folder`` is what VIRTUAL_ENV may be set to, and its ``bin`` may be on the path; ``python``
    is its interpreter, and ``tonnage`` begins the command line of a command.

    The first process that opens a folder starts what serves there; those that open it later use
    the same. It serves until the process ``owner`` ends. With ``libraries``, which its workers have
    imported beside torch, it starts workers only: commands run in the real interpreter.
    """

    def __init__(self, folder: Path, owner: int, libraries: Sequence[str] = ()) -> None:
        self.folder = folder
        self.python = str(folder / "bin" / "python")
        self.tonnage = [self.python, "-c", COMMAND]
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / "serves").exists():
                self._start(owner, libraries)
                (folder / "serves").touch()

    def _start(self, owner: int, libraries: Sequence[str]) -> None:
        launcher, program = Path(self.python), self.folder / "bin" / "tonnage"
        launcher.parent.mkdir(exist_ok=True)
        launcher.write_text(
            LAUNCHER.format(python=sys.executable, command=COMMAND, folder=str(self.folder))
        )
        program.write_text(f'#!/bin/sh\nexec {shlex.join(self.tonnage)} "$@"\n')
        for file in (launcher, program):
            file.chmod(0o755)
        serve = [sys.executable, "-u", "-X", "faulthandler", "-m", "tests.warm"]
        kinds = [("worker", worker_environment("cpu")), ("command", {})][: 1 if libraries else 2]
        processes = [
            subprocess.Popen(
                [*serve, kind, str(self.folder), str(owner), *libraries],
                env={**os.environ, **environment, "PYTHONPATH": str(Path.cwd())},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
            )
            for kind, environment in kinds
        ]
        (self.folder / "worker.pid").write_text(str(processes[0].pid))
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.stdout.close()

    def training(self) -> list[psutil.Process]:
        """What the workers that were started here have forked, and is still there."""
        serving = psutil.Process(int((self.folder / "worker.pid").read_text()))
        found: list[psutil.Process] = []
        for start in serving.children():
            with contextlib.suppress(psutil.NoSuchProcess):
                for worker in start.children():
                    found += worker.children(recursive=True)
        return found

    def activated(self, environment: Mapping[str, str]) -> dict[str, str]:
        """As ``source bin/activate`` would leave it."""
        path = f"{self.folder / 'bin'}{os.pathsep}{environment['PATH']}"
        return {**environment, "VIRTUAL_ENV": str(self.folder), "PATH": path}


def serve(kind: str, folder: str, owner: str, *libraries: str) -> None:
    """Fork one for every launcher that asks, until the owner ends."""
    owning = os.pidfd_open(int(owner))
    os.setsid()  # an interrupt at the terminal is for the owner, who may still need us then
    if kind == "worker":
        import torch

        torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])  # imports torch's compiler
        for name in libraries:
            importlib.import_module(name)
        gc.collect()
        gc.freeze()
    else:
        ours = (found.name for found in pkgutil.walk_packages(app.__path__, "app."))
        for name in (*ours, *IMPORTED_LATE):
            importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{folder}/{kind}")
        listener.listen(16)
        print("ready", flush=True)
        while True:
            ready, _, _ = select.select([listener, owning], [], [])
            if owning in ready:
                return
            line, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _start(line, _as_worker if kind == "worker" else _as_command)
            line.close()


def _start(line: socket.socket, run: Callable[[], None]) -> None:
    """Start what was asked for, and say how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, received, _, _ = socket.recv_fds(line, LARGEST_START, MOST_FDS)
    started = os.fork()
    if started == 0:
        line.close()

        def as_asked() -> None:
            _become(json.loads(data), received)
            run()

        end_after(as_asked)
    os.closerange(0, line.fileno())
    os.closerange(line.fileno() + 1, 2 * FREE_FDS)
    ready, _, _ = select.select([line, os.pidfd_open(started)], [], [])
    if line in ready:  # the launcher was killed: the real one would be gone
        os.kill(started, signal.SIGKILL)
    _, status = os.waitpid(started, 0)
    with contextlib.suppress(OSError):  # the launcher may have been killed
        line.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(start: dict[str, Any], received: list[int]) -> None:
    """Be the process that the launcher was asked for."""
    os.setsid()
    aside = [fcntl.fcntl(fd, fcntl.F_DUPFD, FREE_FDS) for fd in received]
    os.closerange(0, FREE_FDS)
    for fd, number in zip(aside, start["fds"], strict=True):
        os.dup2(fd, number, inheritable=True)
        os.close(fd)
    os.chdir(start["cwd"])
    os.environ.clear()
    os.environ.update(start["environ"])
    sys.argv = start["argv"]


def _as_worker() -> None:
    ours = ("", str(Path(__file__).parents[1]))
    asked = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*filter(None, asked), *(entry for entry in sys.path if entry not in ours)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "probes"]:
        del sys.modules[name]  # a worker brings its own
    runpy.run_path(sys.argv[0], run_name="__main__")


def _as_command() -> None:
    from app.cli import main

    sys.argv[:2] = ["-c"]
    main()


if __name__ == "__main__":
    serve(*sys.argv[1:])
