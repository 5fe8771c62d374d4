"""One measurement at a time on a device of this machine, by a lock file that ends with its holder.

The lock is ``flock`` on an open file. The kernel releases it when the holder ends, even if it is
killed, and the workers that the holder starts do not inherit the descriptor. So there is nothing to
clean up, and a lock is never stale. The file names its holder, for messages only.

Standard library only. Linux and macOS.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path

from probes.devices.base import DeviceFacts
from probes.errors import MeasurementError

POLL_S = 0.2
SHOWN_COMMAND = 80
MAX_HOLDER_BYTES = 4096


@dataclass(frozen=True)
class Holder:
    """The process that measures on a device. ``str()`` describes it for messages."""

    pid: int
    """0 if the lock file does not contain it."""
    command: str
    since: str
    """ISO 8601, UTC."""

    def __str__(self) -> str:
        if not self.pid:
            return "another process"
        command = "".join(c if c.isprintable() else "?" for c in self.command)
        if len(command) > SHOWN_COMMAND:
            command = command[: SHOWN_COMMAND - 2].rstrip() + " …"
        return f"process {self.pid} ({command}) since {_clock(self.since)}"


OnWait = Callable[[str, float], None]
"""Called a few times a second while waiting, with the current holder in words and the seconds
waited."""


def lease_key(facts: DeviceFacts) -> str:
    """The key of the lease: the device's UUID or PCI address if known, else its name.

    With another ``CUDA_VISIBLE_DEVICES``, ``cuda:0`` is another card, but the UUID of a card never
    changes. The whole CPU is one device.
    """
    for name in ("uuid", "pci"):
        known = facts.identity.get(name)
        if isinstance(known, str):
            return f"{facts.kind}:{known}"
    return facts.device


def default_folder() -> Path:
    """The folder of the lock files, the same for all processes and users of the machine.

    ``TMPDIR`` and ``XDG_RUNTIME_DIR`` are not used: a login, a cron job and a batch system set them
    differently, so that two processes could measure at once.
    """
    shared = Path("/tmp")
    return shared if os.access(shared, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def lock_file(facts: DeviceFacts, folder: Path | None = None) -> Path:
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", lease_key(facts))
    return (folder or default_folder()) / f"tonnage-{name}.lock"


def holder_of(facts: DeviceFacts, folder: Path | None = None) -> Holder | None:
    """The current holder of the lease; ``None`` if it is free. Returns at once."""
    try:
        fd = os.open(lock_file(facts, folder), os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # never leased here, or not ours to look at
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        return _read(fd)
    finally:
        os.close(fd)


@contextlib.contextmanager
def lease(
    *devices: DeviceFacts,
    command: str,
    wait_s: float,
    folder: Path | None = None,
    on_wait: OnWait | None = None,
) -> Iterator[None]:
    """Reserve a device, or all devices of a group, for this process. Other processes that ask for
    one of them wait, or are refused.

    Of a group, all are taken or none: while one is in use, the others stay free. All processes take
    them in the same order, so of two that want overlapping groups one always gets its own.
    ``command`` describes this process to the others. Raises ``MeasurementError`` if a device is
    still in use after ``wait_s`` seconds (0: do not wait), or if a lock file cannot be used. Not
    reentrant: a process that asks for a lease twice waits for itself.
    """
    files = {lock_file(facts, folder): facts for facts in devices}
    began_s = time.monotonic()
    while isinstance(taken := _acquire_all(sorted(files), command), Path):
        busy = files[taken]
        holder = holder_of(busy, folder)
        waited_s = time.monotonic() - began_s
        if holder is not None:  # else it was released, or only inspected, meanwhile
            in_use = f"{busy.device} is in use by {holder}"
            if waited_s >= wait_s:
                raise MeasurementError(_refusal(in_use, wait_s))
            if on_wait is not None:
                on_wait(in_use, waited_s)
        time.sleep(POLL_S)
    try:
        yield
    finally:
        _release(taken)


def _acquire_all(paths: list[Path], command: str) -> list[int] | Path:
    """The descriptors that hold the locks, or the first lock file that another process holds;
    nothing is held then."""
    taken: list[int] = []
    try:
        for path in paths:
            fd = _acquire(path, command)
            if fd is None:
                _release(taken)
                return path
            taken.append(fd)
    except BaseException:
        _release(taken)
        raise
    return taken


def _release(taken: list[int]) -> None:
    while taken:
        fd = taken.pop()
        os.ftruncate(fd, 0)  # messages would name us instead of the next holder
        os.close(fd)  # releases the lock


def _refusal(in_use: str, wait_s: float) -> str:
    waited = f" and was not free within {wait_s:.0f} s" if wait_s else ""
    return (
        f"{in_use}{waited}. Two measurements at once would distort each other: try again when it "
        "is free, or wait longer with --wait SECONDS (probe.lease_wait_s)."
    )


def _acquire(path: Path, command: str) -> int | None:
    """The descriptor that holds the lock; ``None`` if another process holds it."""
    try:
        fd = _open(path)
        try:
            if _is_locked(path, fd):
                _write(fd, command)
                return fd
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)
        return None
    except OSError as error:
        raise MeasurementError(
            f"The lock file {path} cannot be used ({error.strerror}). Set probe.lease_dir to a "
            "folder that all users who measure on this machine can write to."
        ) from None


def _is_locked(path: Path, fd: int) -> bool:
    """Take the lock if it is free. If the file was deleted since it was opened, the lock counts as
    taken, because other processes will lock a new file."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.stat(path, follow_symlinks=False), os.fstat(fd))  # noqa: PTH116
    except (BlockingIOError, FileNotFoundError):
        return False


def _write(fd: int, command: str) -> None:
    since = datetime.now(timezone.utc).isoformat(timespec="seconds")
    os.ftruncate(fd, 0)
    os.write(fd, json.dumps(asdict(Holder(os.getpid(), command, since))).encode())


def _open(path: Path) -> int:
    """Open the lock file, and create it if it does not exist.

    All users may be able to write to its folder, so the file is checked before it is written to.
    Opening comes before creating, because Linux refuses ``O_CREAT`` for a file of another user in
    such a folder (``fs.protected_regular``).
    """
    flags = os.O_RDWR | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:  # another process was quicker
            return os.open(path, flags)
        os.fchmod(fd, 0o666)  # other users must be able to lock it too, despite our umask
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(fd)
        raise OSError(0, "it is not a regular file, or has several links")
    return fd


def _read(fd: int) -> Holder:
    """The holder that the file names. It is written just after the lock is taken, so the file may
    still be empty."""
    try:
        data = json.loads(os.pread(fd, MAX_HOLDER_BYTES, 0))
        return Holder(int(data["pid"]), str(data["command"]), str(data["since"]))
    except (ValueError, TypeError, KeyError):
        return Holder(0, "", "")


def _clock(since: str) -> str:
    """Local time of day, with the date where that is not today's."""
    try:
        moment = datetime.fromisoformat(since).astimezone()
    except ValueError:
        return "some time ago"
    today = moment.date() == datetime.now(timezone.utc).astimezone().date()
    return moment.strftime("%H:%M" if today else "%Y-%m-%d %H:%M")
