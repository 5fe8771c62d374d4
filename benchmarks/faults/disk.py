"""A disk of its own for a campaign, small enough to be filled: a tmpfs, where we may mount one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHUNK = b"\0" * 2**20
FILLER = "filler"


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[bool]:
    """Mount one on the folder; whether that was possible. Unmounted on leaving."""
    folder.mkdir(parents=True, exist_ok=True)
    mounted = _run("mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder))
    try:
        yield mounted
    finally:
        if mounted:
            _run("umount", "--lazy", str(folder))


def fill(folder: Path) -> None:
    """Until nothing more goes in."""
    with (folder / FILLER).open("wb", buffering=0) as file:
        for size in (len(CHUNK), 4096, 1):
            try:
                while file.write(CHUNK[:size]) == size:
                    pass
            except OSError:
                continue


def free(folder: Path) -> None:
    (folder / FILLER).unlink(missing_ok=True)


def _run(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
