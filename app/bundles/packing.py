"""Packing a working directory into a bundle: what is sent and left out, and whether it fits."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.bundles import archive
from app.bundles.archive import Content
from app.bundles.ignore import IGNORE_FILE, IgnoreRules
from app.settings.serving import BundleSettings
from probes.errors import InputError
from probes.formatting import size_text

LARGEST_SHOWN = 5


@dataclass(frozen=True)
class _Found:
    path: str
    size_bytes: int
    is_executable: bool


@dataclass(frozen=True)
class Bundle:
    """A packed working directory."""

    id: str
    """SHA-256 of the archive."""
    archive: bytes
    files: int
    size_bytes: int
    """Of its files."""
    left_out: list[str] = field(default_factory=list)
    """What was not sent although nobody asked for that, with the reason and the remedy."""

    @property
    def shown(self) -> str:
        """For people."""
        return f"{self.id[:12]} ({self.files} files, {size_text(self.size_bytes)})"


def pack_folder(folder: Path, settings: BundleSettings) -> Bundle:
    """The folder as a bundle. Raises ``InputError`` that names the largest files where it is too
    large, and for what cannot be read or packed."""
    rules = _rules(folder)
    left_out: list[str] = []
    found = list(_walk(folder, "", rules, settings.data_folder_bytes, left_out))
    _check(folder, found, settings)
    contents = [Content(each.path, _read(folder, each.path), each.is_executable) for each in found]
    size_bytes = sum(len(each.data) for each in contents)
    if size_bytes > settings.max_bytes:  # files that grew since
        raise InputError(_too_large(folder, found, size_bytes, settings))
    packed = archive.pack(contents)
    return Bundle(archive.name_of(packed), packed, len(contents), size_bytes, left_out)


def _rules(folder: Path) -> IgnoreRules:
    file = folder / IGNORE_FILE
    try:
        return IgnoreRules(file.read_text(encoding="utf-8").splitlines())
    except FileNotFoundError:
        return IgnoreRules()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} cannot be read: {error}.") from None


def _walk(
    root: Path, below: str, rules: IgnoreRules, data_bytes: int, left_out: list[str]
) -> Iterator[_Found]:
    """The files to send below a folder (``below`` ends with ``/``, or is empty for the root)."""
    try:
        with os.scandir(root / below) as listed:
            entries = sorted(listed, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"{root / below} cannot be read: {error.strerror}.") from None
    for entry in entries:
        path = f"{below}{entry.name}"
        is_folder = entry.is_dir(follow_symlinks=False)
        if rules.ignores(path, is_folder=is_folder):
            continue
        if is_folder:
            yield from _folder(root, path, rules, data_bytes, left_out)
            continue
        facts = _facts(root, path, is_link=entry.is_symlink(), left_out=left_out)
        if facts is not None:
            _check_name(root, path)
            yield _Found(path, facts.st_size, bool(facts.st_mode & stat.S_IXUSR))


def _folder(
    root: Path, path: str, rules: IgnoreRules, data_bytes: int, left_out: list[str]
) -> list[_Found]:
    asked_for = rules.asks_for(path, is_folder=True)
    if (root / path / "pyvenv.cfg").is_file() and not asked_for:
        return []  # a virtual environment, whatever it is called
    found = list(_walk(root, f"{path}/", rules, data_bytes, left_out))
    size_bytes = sum(each.size_bytes for each in found)
    has_code = any(each.path.endswith(".py") for each in found)
    if size_bytes <= data_bytes or has_code or asked_for:
        return found
    left_out.append(
        f"{path}/ ({size_text(size_bytes)} without a Python file) was taken for data and left out. "
        f"To send it, add the line !{path}/ to {IGNORE_FILE}."
    )
    return []


def _facts(root: Path, path: str, *, is_link: bool, left_out: list[str]) -> os.stat_result | None:
    """Of the file, or of the file of the folder that a link leads to; ``None`` for what is not
    sent."""
    try:
        facts = (root / path).stat()
        target = (root / path).resolve()
    except OSError:
        left_out.append(f"{path} cannot be read and was left out.")
        return None
    if is_link and not (stat.S_ISREG(facts.st_mode) and target.is_relative_to(root.resolve())):
        left_out.append(f"{path} is a link to {target} and was left out.")
        return None
    return facts if stat.S_ISREG(facts.st_mode) else None


def _check_name(root: Path, path: str) -> None:
    try:
        archive.checked(path)
        path.encode()
    except (InputError, UnicodeEncodeError):
        raise InputError(
            f"{path!r} in {root} has a name that cannot be sent. Rename it, or add it to "
            f"{IGNORE_FILE}."
        ) from None


def _check(folder: Path, found: list[_Found], settings: BundleSettings) -> None:
    size_bytes = sum(each.size_bytes for each in found)
    if size_bytes > settings.max_bytes:
        raise InputError(_too_large(folder, found, size_bytes, settings))
    if len(found) > settings.max_files:
        raise InputError(
            f"{folder} has {len(found)} files to send, and a bundle takes {settings.max_files} at "
            f"most. Add folders that the training does not need to {IGNORE_FILE}, or raise "
            "max_files in [bundles] of tonnage.toml, here and on the hosts."
        )


def _too_large(folder: Path, found: list[_Found], size_bytes: int, settings: BundleSettings) -> str:
    largest = sorted(found, key=lambda each: (-each.size_bytes, each.path))[:LARGEST_SHOWN]
    listed = ", ".join(f"{each.path} ({size_text(each.size_bytes)})" for each in largest)
    return (
        f"{folder} holds {size_text(size_bytes)} to send, and a bundle takes "
        f"{size_text(settings.max_bytes)} at most. The largest files: {listed}. Add what the "
        f"training does not need to {IGNORE_FILE}; or raise max_bytes in [bundles] of "
        "tonnage.toml, here and on the hosts."
    )


def _read(folder: Path, path: str) -> bytes:
    try:
        return (folder / path).read_bytes()
    except OSError as error:
        raise InputError(f"{folder / path} cannot be read: {error.strerror}.") from None
