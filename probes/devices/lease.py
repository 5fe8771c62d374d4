"""One measurement at a time on a device of this machine: a lock file that dies with its holder.

The lock is ``flock`` on an open file. The kernel gives it up when the holder ends, however it ends,
and the descriptor is not inherited by the workers that the holder starts: there is nothing to clean
up, and no dead holder to recognise. What the file contains is only for people: whom they wait for.

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
    """Who measures on a device. ``str()`` is how messages name it."""

    pid: int
    """0 when the lock file does not say."""
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
"""Called a few times a second while waiting: in whose use the device is, and the seconds waited."""


def lease_key(facts: DeviceFacts) -> str:
    """What the lease is on: the device itself where it can be told apart from others.

    ``cuda:0`` is another card in a process with another ``CUDA_VISIBLE_DEVICES``, its UUID is not.
    All of the CPU is one device.
    """
    for name in ("uuid", "pci"):
        known = facts.identity.get(name)
        if isinstance(known, str):
            return f"{facts.kind}:{known}"
    return facts.device


def default_folder() -> Path:
    """Where the lock files are: one place for every process and user of the machine.

    Not ``TMPDIR`` or ``XDG_RUNTIME_DIR``: a login, a cron job and a batch system set them
    differently, and two of them would then measure at once.
    """
    shared = Path("/tmp")
    return shared if os.access(shared, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def lock_file(facts: DeviceFacts, folder: Path | None = None) -> Path:
    name = re.sub(r"[^A-Za-z0-9.-]+", "-", lease_key(facts))
    return (folder or default_folder()) / f"tonnage-{name}.lock"


def holder_of(facts: DeviceFacts, folder: Path | None = None) -> Holder | None:
    """Who has the lease now; ``None`` when nobody has. Waits for nothing."""
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
    facts: DeviceFacts,
    *,
    command: str,
    wait_s: float,
    folder: Path | None = None,
    on_wait: OnWait | None = None,
) -> Iterator[None]:
    """Keep the device to this process: others that ask for it meanwhile wait, or are refused.

    ``command`` is what others are told about us. Raises ``MeasurementError`` when the device is
    still in use after ``wait_s`` seconds (0: do not wait), or the lock file cannot be used. Not
    reentrant: a process that has the lease and asks again waits for itself.
    """
    path = lock_file(facts, folder)
    began_s = time.monotonic()
    while (fd := _acquire(path, command)) is None:
        holder = holder_of(facts, folder)
        waited_s = time.monotonic() - began_s
        if holder is not None:  # else it is free again, or somebody only looked
            in_use = f"{facts.device} is in use by {holder}"
            if waited_s >= wait_s:
                raise MeasurementError(_refusal(in_use, wait_s))
            if on_wait is not None:
                on_wait(in_use, waited_s)
        time.sleep(POLL_S)
    try:
        yield
    finally:
        os.ftruncate(fd, 0)  # a name left behind would be taken for the next holder's
        os.close(fd)  # gives up the lock


def _refusal(in_use: str, wait_s: float) -> str:
    waited = f" and was not free within {wait_s:.0f} s" if wait_s else ""
    return (
        f"{in_use}{waited}. Two measurements at once would spoil both: wait "
        "until it is done, or wait longer with --wait SECONDS (probe.lease_wait_s)."
    )


def _acquire(path: Path, command: str) -> int | None:
    """The descriptor that holds the lock; ``None`` while somebody else holds it."""
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
            f"The lock file {path} cannot be used ({error.strerror}): name a folder that everybody "
            "who measures on this machine can write to in probe.lease_dir."
        ) from None


def _is_locked(path: Path, fd: int) -> bool:
    """Take the lock if it is free. A file that was cleaned away since it was opened counts as not
    free: others will lock another one."""
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
    """Open the lock file, made where there is none, for the first process and all later ones.

    Its folder may be open to everybody, so what lies there is looked at before it is written to.
    It is created apart from being opened, because Linux refuses to *create* what another user
    already has in such a folder (``fs.protected_regular``).
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
        os.fchmod(fd, 0o666)  # other users must be able to lock it, whatever our umask
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(fd)
        raise OSError(0, "it is not a file of its own")
    return fd


def _read(fd: int) -> Holder:
    """What the file says. It is written just after the lock is taken, so it can be empty."""
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
