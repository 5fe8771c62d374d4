"""Entry point of a worker process; run by path, never imported.

``python boot.py PACKAGE_FOLDER JOB_FD MESSAGE_FD LIFELINE_FD``

Two things happen before anything heavy is imported. The process splits: the child goes on as the
worker, and the small original stays as its guardian, which kills the whole process group as soon
as the far end of the lifeline closes. That holds even when the parent is killed with SIGKILL or
the worker hangs inside native code. Then ``probes`` is made importable by itself: its folder's
parent is *not* put on ``sys.path``, because a user's own ``app`` or ``optimizer`` package may
have to be found there.
"""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import sys
from types import ModuleType


def main(package: str, job_fd: int, message_fd: int, lifeline_fd: int) -> None:
    guardian = os.getpid()
    worker = os.fork()
    if worker:
        os.close(job_fd)
        os.close(message_fd)
        _let_go_of_output()
        _guard(worker, lifeline_fd)
        return
    os.close(lifeline_fd)
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    _load_package("probes", package)
    from probes.worker.fork_server import die_with
    from probes.worker.serve import serve

    die_with(guardian)

    serve(job_fd, message_fd)


def _load_package(name: str, folder: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        name, os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"cannot load {name} from {folder}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _let_go_of_output() -> None:
    """The parent reads output until the worker ends; the guardian must not keep it open."""
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def _guard(worker: int, lifeline_fd: int) -> None:
    """Wait for the worker, or for the parent's end, whichever is first; then end the same way."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    status = _wait(worker, lifeline_fd)
    if status is None:
        os.killpg(os.getpgid(0), signal.SIGKILL)
        return
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        _no_core_dump()
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


def _wait(worker: int, lifeline_fd: int) -> int | None:
    """The worker's wait status, or ``None`` when the parent went away first."""
    watched = [lifeline_fd]
    timeout: float | None = 0.05
    if hasattr(os, "pidfd_open"):
        watched.append(os.pidfd_open(worker))
        timeout = None
    while True:
        ready, _, _ = select.select(watched, [], [], timeout)
        ended, status = os.waitpid(worker, os.WNOHANG)
        if ended:
            return status
        if lifeline_fd in ready:
            return None


def _no_core_dump() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:5]))
