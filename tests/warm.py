"""A virtual environment whose interpreter has torch imported before it is started.

Each command under test starts a worker, and importing torch takes most of its time. The
interpreter here hands a worker's start over to a process that has torch imported already, which
forks it; whatever else it is asked to run, the real interpreter runs. Such a worker is no child of
the command that starts it: tests that look for a command's processes need the real one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

from probes.devices.environment import worker_environment

LAUNCHER = """#!{python} -IS
import json, os, signal, socket, sys
if len(sys.argv) < 2 or not sys.argv[1].endswith("boot.py"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
fds = [0, 1, 2, *map(int, sys.argv[3:])]
start = {{"argv": sys.argv[1:], "cwd": os.getcwd(), "environ": dict(os.environ), "fds": fds}}
line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
line.connect({address!r})
socket.send_fds(line, [json.dumps(start).encode()], fds)
for fd in fds:
    os.close(fd)  # only the worker has them now
status = int(line.recv(16) or b"1")
if status < 0:
    os.kill(os.getpid(), -status)
    signal.pause()
os._exit(status)
"""
LARGEST_START = 1 << 20
FREE_FDS = 64
"""Above every number that a worker's descriptors have."""


class WarmEnvironment:
    """``folder`` is what VIRTUAL_ENV may be set to. Ends with the process that made it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        address = folder / "socket"
        (folder / "bin").mkdir(parents=True)
        launcher = folder / "bin" / "python"
        launcher.write_text(LAUNCHER.format(python=sys.executable, address=str(address)))
        launcher.chmod(0o755)
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-X", "faulthandler", "-m", "tests.warm", str(address)],
            env={**os.environ, **worker_environment("cpu"), "PYTHONPATH": str(Path.cwd())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=30)


def serve(address: str) -> None:
    """Fork a worker for every launcher that asks, until stdin closes."""
    import torch

    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])  # imports torch's compiler
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(address)
        listener.listen(16)
        print("ready")
        while True:
            ready, _, _ = select.select([listener, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            line, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _start(line)
            line.close()


def _start(line: socket.socket) -> None:
    """Start what was asked for, and say how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    data, received, _, _ = socket.recv_fds(line, LARGEST_START, 16)
    worker = os.fork()
    if worker == 0:
        line.close()
        _become(json.loads(data), received)
    os.closerange(0, line.fileno())
    os.closerange(line.fileno() + 1, 2 * FREE_FDS)
    _, status = os.waitpid(worker, 0)
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
    ours = ("", str(Path(__file__).parents[1]))
    asked = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:] = [*filter(None, asked), *(entry for entry in sys.path if entry not in ours)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "probes"]:
        del sys.modules[name]  # a worker brings its own
    runpy.run_path(sys.argv[0], run_name="__main__")
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
