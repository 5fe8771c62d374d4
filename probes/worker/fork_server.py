"""A clean process that has torch imported and nothing else done: every job runs in a fork of it.

Importing torch and what a first optimizer brings along takes seconds; forking takes milliseconds.
A fork is a fresh process in every way that matters to a verdict: no earlier training, no residue
in an allocator, no context on a device. And because all of them start from the same address space,
their peaks repeat better than those of processes that import by themselves.

A device cannot be used after a fork if its driver was initialised before, so the user's code is
only ever imported in the fork; the libraries that it imports are imported here once they are known.
Where an import alone opens the driver, jobs run in this process, which the parent then replaces.
Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from probes.processes.guard import descendants, die_with, end_all, session_members

DRIVER_FILES = ("/dev/nvidia", "/dev/kfd", "/dev/dri", "/dev/accel")


class Preload:
    """Imports what jobs need, in two parts: who only asks what there is needs no optimizer. A
    failure is the job's to report, not ours."""

    def __init__(self) -> None:
        self._is_whole = False
        with contextlib.suppress(Exception):
            import torch  # noqa: F401

    def finish(self) -> None:
        """Import what training brings along. Once; before the first fork that trains."""
        if self._is_whole:
            return
        self._is_whole = True
        with contextlib.suppress(Exception):
            import torch

            # A first optimizer imports torch's compiler, over a second and some 70 MiB. One
            # element: too little for torch to start its threads, which would not survive a fork.
            torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
            import probes.worker.estimate
            import probes.worker.probe  # noqa: F401
        # No fork shall look through half a million objects, nor copy their pages doing so.
        gc.collect()
        gc.freeze()

    def add(self, modules: Iterable[str], variables: dict[str, str | None]) -> bool:
        """Import what the workload will import. Returns whether a fork will be as if it had done
        so itself.

        Not so where a library has started threads, which a fork lacks, or opened a driver; nor
        where the environment is another than the workload made it (``variables``): then its code
        changes it too, perhaps before it imports the library that reads it.
        """
        self.finish()
        from probes.worker.libraries import BeforeLoading

        before, threads = BeforeLoading(), _threads_a_fork_lacks()
        for name in modules:
            with contextlib.suppress(Exception, SystemExit):
                importlib.import_module(name)
        gc.collect()
        gc.freeze()
        same = all(os.environ.get(name) == value for name, value in variables.items())
        same = same and before.changed_variables().keys() <= variables.keys()
        return same and _threads_a_fork_lacks() == threads and can_fork()


def _threads_a_fork_lacks() -> int:
    """Threads of this process, without those of jemalloc (pyarrow brings it), which starts its own
    again in a fork."""
    count = 0
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            count += (task / "comm").read_text().strip() != "jemalloc_bg_thd"
    return count


def can_fork() -> bool:
    """Whether a fork of this process may use any device."""
    if not sys.platform.startswith("linux"):
        return False
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(entry.readlink()).startswith(DRIVER_FILES):
                return False
    return True


def run_forked(work: Callable[[], None], closing: int) -> int:
    """Do ``work`` in a fork, and end whatever it leaves running. Returns how the fork ended: its
    exit status, or the negative number of the signal, as in ``subprocess``.

    ``closing`` is a file descriptor that the fork must not keep.
    """
    parent = os.getpid()
    child = os.fork()
    if child == 0:

        def of_the_fork() -> None:
            os.close(closing)
            die_with(parent)
            work()

        end_after(of_the_fork)
    _, ended = os.waitpid(child, 0)
    end_all(_left_running)
    return os.waitstatus_to_exitcode(ended)


def _left_running() -> set[int]:
    """What a fork has started and is still there: of our session, and what went into a session of
    its own, which became a child of our guardian when the fork died."""
    guardian = os.getppid()
    found = session_members()
    with contextlib.suppress(OSError):
        if b"guard.py" in Path(f"/proc/{guardian}/cmdline").read_bytes():
            found |= set(descendants(guardian))
    return found - {os.getpid(), guardian}


def end_after(work: Callable[[], None]) -> NoReturn:
    """Do ``work`` and end this process with the status that an interpreter's end would have,
    without running anything that the fork inherited."""
    status = 1
    try:
        work()
        status = 0
    except SystemExit as error:
        status = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        _flush()
        os._exit(status & 0xFF)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
