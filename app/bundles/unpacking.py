"""Unpacking a bundle on the host that runs its code: once, into the user's cache folder, read-only.

A bundle is unpacked beside its final place and then renamed, so that what is there is complete;
several processes may do so at once. A process that uses the folder holds a shared lock on it, so
that nobody deletes it meanwhile. Old folders are deleted when another bundle is unpacked.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from app.bundles import archive, service
from app.bundles.archive import Limits
from app.database import Database
from app.machine import disk_cache
from app.settings.serving import BundleSettings
from probes.errors import MeasurementError

DAY_S = 24 * 3600.0
UNFINISHED = ".unpacking-"
REMOVED = ".removed-"
ATTEMPTS = 10


def cache_folder() -> Path:
    """Where bundles are unpacked on this host."""
    return disk_cache.folder() / "bundles"


@contextlib.contextmanager
def unpacked(
    database: Database, settings: BundleSettings, bundle_id: str, cache: Path | None = None
) -> Iterator[Path]:
    """The folder of a bundle, which stays as it is as long as the context is open.

    Raises ``NotFound`` and ``InvalidBundle``, and ``MeasurementError`` where the disk is full or
    the cache folder cannot be written.
    """
    cache = cache or cache_folder()
    folder = cache / bundle_id
    for _ in range(ATTEMPTS):
        held = _hold(folder)
        if held is None:
            try:
                _unpack(database, settings, bundle_id, cache)
            except OSError as error:
                raise MeasurementError(
                    f"The bundle {bundle_id[:12]} could not be unpacked in {cache}: "
                    f"{error.strerror or error}."
                ) from None
            continue
        try:
            yield folder
        finally:
            os.close(held)
        return
    raise MeasurementError(f"The bundle {bundle_id[:12]} keeps disappearing from {cache}.")


def extract(packed: bytes, folder: Path, limits: Limits) -> None:
    """Write the files of an archive into an empty folder that nobody else writes to, read-only.
    Raises ``InvalidBundle`` and ``OSError``; the folder then holds a part of it."""
    for entry, content in archive.entries(packed, limits):
        file = folder.joinpath(*entry.parts)
        file.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(file, flags, 0o600), "wb") as output:
            shutil.copyfileobj(content, output)
            os.fchmod(output.fileno(), 0o555 if entry.is_executable else 0o444)
    for place, _, _ in os.walk(folder, topdown=False):
        if Path(place) != folder:
            Path(place).chmod(0o555)


def forget_old(cache: Path, keep_s: float, now_s: float | None = None) -> int:
    """Delete what was not used for this long and is not in use, and what a process that was killed
    has left; returns how many folders."""
    now_s = time.time() if now_s is None else now_s
    count = 0
    for folder in cache.iterdir():
        with contextlib.suppress(OSError):
            leftover = folder.name.startswith((UNFINISHED, REMOVED))
            age_s = now_s - folder.stat().st_mtime
            if age_s > (DAY_S if leftover else keep_s):
                count += _remove(folder)
    return count


def _hold(folder: Path) -> int | None:
    """A shared lock on the folder, which counts as used now; ``None`` where it does not exist."""
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(held, fcntl.LOCK_SH)
        os.utime(held)
        if os.fstat(held).st_ino == folder.stat().st_ino:
            return held
    except FileNotFoundError:  # it was deleted before it was locked
        pass
    os.close(held)
    return None


def _unpack(database: Database, settings: BundleSettings, bundle_id: str, cache: Path) -> None:
    packed = service.content(database, settings, bundle_id)
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    forget_old(cache, settings.keep_days * DAY_S)
    made = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=cache))
    try:
        extract(packed, made, service.limits_of(settings))
        made.rename(cache / bundle_id)
    except OSError as error:
        _remove(made)
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another process was quicker
            raise
    except BaseException:
        _remove(made)
        raise
    else:
        (cache / bundle_id).chmod(0o555)


def _remove(folder: Path) -> bool:
    """Delete a folder that nobody uses; whether it was."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return False
    try:
        gone = Path(tempfile.mkdtemp(prefix=REMOVED, dir=folder.parent))
        folder.chmod(0o700)
        folder.rename(gone)  # replaces the empty folder
        for place, _, _ in os.walk(gone):
            Path(place).chmod(0o700)
        shutil.rmtree(gone, ignore_errors=True)
    finally:
        os.close(held)
    return True
