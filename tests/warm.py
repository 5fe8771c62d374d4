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
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import app
from probes.devices.environment import worker_environment
from probes.worker.fork_server import end_after

COMMAND = "from app.cli import main; main()"
LAUNCHER = """#!{python} -IS
import json, os, signal, socket, sys
if sys.argv[1:2] and sys.argv[1].endswith("boot.py"):
    kind, fds = "worker", [0, 1, 2, *map(int, sys.argv[3:5])]
elif sys.argv[1:3] == ["-c", {command!r}]:
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
FREE_FDS = 64
"""Above every number that a worker's descriptors have."""


class WarmEnvironment:
    """``folder`` is what VIRTUAL_ENV may be set to, and its ``bin`` may be on the path; ``tonnage``
    begins the command line of a command. Ends with the process that made it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "bin").mkdir(parents=True)
        launcher = folder / "bin" / "python"
        launcher.write_text(
            LAUNCHER.format(python=sys.executable, command=COMMAND, folder=str(folder))
        )
        self.tonnage = [str(launcher), "-c", COMMAND]
        program = folder / "bin" / "tonnage"
        program.write_text(f'#!/bin/sh\nexec {shlex.join(self.tonnage)} "$@"\n')
        for file in (launcher, program):
            file.chmod(0o755)
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-u", "-X", "faulthandler", "-m", "tests.warm", kind, str(folder)],
                env={**os.environ, **environment, "PYTHONPATH": str(Path.cwd())},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for kind, environment in (("worker", worker_environment("cpu")), ("command", {}))
        ]
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"

    def activated(self, environment: Mapping[str, str]) -> dict[str, str]:
        """As ``source bin/activate`` would leave it."""
        path = f"{self.folder / 'bin'}{os.pathsep}{environment['PATH']}"
        return {**environment, "VIRTUAL_ENV": str(self.folder), "PATH": path}

    def close(self) -> None:
        for process in self._processes:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            process.stdout.close()
            process.wait(timeout=30)


def serve(kind: str, folder: str) -> None:
    """Fork one for every launcher that asks, until stdin closes."""
    if kind == "worker":
        import torch

        torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])  # imports torch's compiler
    else:
        ours = (found.name for found in pkgutil.walk_packages(app.__path__, "app."))
        for name in (*ours, *IMPORTED_LATE):
            importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(f"{folder}/{kind}")
        listener.listen(16)
        print("ready")
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            line, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _start(line, _as_worker if kind == "worker" else _as_command)
            line.close()


def _start(line: socket.socket, run: Callable[[], None]) -> None:
    """Start what was asked for, and say how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, received, _, _ = socket.recv_fds(line, LARGEST_START, 16)
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
