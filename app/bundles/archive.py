"""The archive of a bundle: a tar file of regular files that is the same for the same files, and the
checks that every reader makes before it believes what stands in one.

Owners, times and all permissions but "executable" are left out, so the SHA-256 depends on paths and
contents only. Links, devices and folders of their own do not occur, and are refused: nothing that
is unpacked can lead out of its folder.
"""

from __future__ import annotations

import hashlib
import io
import stat
import tarfile
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO

from probes.errors import InputError
from probes.formatting import size_text

READ_AT_ONCE = 2**20


class InvalidBundle(InputError):
    """What was sent is not a bundle, or not the one that was announced."""


@dataclass(frozen=True)
class Limits:
    """What a bundle may have; see ``[bundles]`` of the settings."""

    max_bytes: int
    max_files: int

    @property
    def archive_bytes(self) -> int:
        """Most bytes of the archive itself: each file has a header, which a long name doubles, and
        is padded."""
        return self.max_bytes + self.max_files * 4 * tarfile.BLOCKSIZE + tarfile.RECORDSIZE


@dataclass(frozen=True)
class Entry:
    """A file of a bundle."""

    parts: tuple[str, ...]
    """Its path, from the working directory."""
    size_bytes: int
    is_executable: bool


@dataclass(frozen=True)
class Content:
    """A file to be packed."""

    path: str
    """Relative, with ``/``."""
    data: bytes
    is_executable: bool = False


def pack(files: Iterable[Content]) -> bytes:
    """The archive; the same for the same files, whatever their order."""
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for each in sorted(files, key=lambda file: file.path.encode()):
            header = tarfile.TarInfo(each.path)
            header.size = len(each.data)
            header.mode = 0o755 if each.is_executable else 0o644
            archive.addfile(header, io.BytesIO(each.data))
    return output.getvalue()


def name_of(archive: bytes) -> str:
    """Its SHA-256, in 64 hex digits."""
    return hashlib.sha256(archive).hexdigest()


def compress(archive: bytes) -> bytes:
    return zlib.compress(archive, 6)


def decompress(parts: Iterable[bytes], max_bytes: int) -> bytes:
    """The archive. Never unpacks more than ``max_bytes``. Raises ``InvalidBundle``."""
    unpacker = zlib.decompressobj()
    found = io.BytesIO()
    try:
        for part in parts:
            rest, is_full = part, True
            while (rest or is_full) and not unpacker.eof:
                some = unpacker.decompress(rest, READ_AT_ONCE)
                found.write(some)
                if found.tell() > max_bytes:
                    raise InvalidBundle(
                        f"The bundle is larger than {size_text(max_bytes)}, the most that is "
                        "accepted (max_bytes in [bundles] of tonnage.toml)."
                    )
                rest, is_full = unpacker.unconsumed_tail, len(some) == READ_AT_ONCE
    except zlib.error as error:
        raise InvalidBundle(f"The bundle is not compressed with zlib: {error}.") from None
    if not unpacker.eof:
        raise InvalidBundle("The bundle is incomplete.")
    return found.getvalue()


def entries(archive: bytes, limits: Limits) -> Iterator[tuple[Entry, IO[bytes]]]:
    """Each file and its content. Raises ``InvalidBundle`` for whatever ``pack`` does not make."""
    seen: set[tuple[str, ...]] = set()
    total = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:") as opened:
            for member in opened:
                if not member.isreg() or member.issparse():
                    raise InvalidBundle(
                        f"{member.name[:200]!r} is a link, a folder or a device. A bundle has "
                        "regular files only."
                    )
                parts = checked(member.name)
                if member.offset_data + member.size > len(archive):
                    raise InvalidBundle(f"The bundle ends in the middle of {member.name!r}.")
                total += member.size
                _check(parts, seen, total, limits)
                seen.add(parts)
                content = opened.extractfile(member)
                assert content is not None
                is_executable = bool(member.mode & stat.S_IXUSR)
                yield Entry(parts, member.size, is_executable), content
    except (tarfile.TarError, ValueError, OverflowError, UnicodeError) as error:
        raise InvalidBundle(f"The bundle is not a tar file that can be read: {error}.") from None


def checked(path: str) -> tuple[str, ...]:
    """The parts of a path that stays in its folder. Raises ``InvalidBundle``."""
    parts = tuple(path.split("/"))
    wrong = [part for part in parts if part in ("", ".", "..") or len(part.encode()) > 255]
    if wrong or "\\" in path or len(path) > 1000 or _has_control(path):
        raise InvalidBundle(
            f"{path[:200]!r} is not a path in a bundle: it must be relative, without '..' and "
            "without backslashes."
        )
    return parts


def _has_control(path: str) -> bool:
    return any(unicodedata.category(letter) in ("Cc", "Cs") for letter in path)


def _check(parts: tuple[str, ...], seen: set[tuple[str, ...]], total: int, limits: Limits) -> None:
    path = "/".join(parts)
    if parts in seen:
        raise InvalidBundle(f"{path!r} is in the bundle twice.")
    if any(parts[:count] in seen for count in range(1, len(parts))):
        raise InvalidBundle(f"{path!r} lies in something that is a file.")
    if len(seen) >= limits.max_files:
        raise InvalidBundle(f"The bundle has more than {limits.max_files} files.")
    if total > limits.max_bytes:
        raise InvalidBundle(
            f"The files of the bundle take more than {size_text(limits.max_bytes)}."
        )
