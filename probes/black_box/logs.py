"""Steps as a command's log files tell of them: JSON lines, TensorBoard's event files, or lines of
text that are read as the output is.

Only what is written after the command was started counts. Standard library only.
"""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Protocol

from probes.black_box.steps import Seen, as_loss

JSON_SUFFIXES = {".json", ".jsonl", ".ndjson", ".log", ".txt"}
EVENT_FILES = "events.out.tfevents"
LARGEST_RECORD = 64 * 2**20


class StepLog(Protocol):
    def read(self) -> list[Seen]:
        """The steps that were logged since the last call."""

    def text(self) -> bytes:
        """Lines that were read since the last call and are no records of steps; empty as soon as a
        record was one."""


def open_log(path: Path, step: str) -> StepLog:
    """The log at a path: lines by the name of the file, else a folder of event files.

    ``step`` is the key of the step's number in a JSON line.
    """
    if path.suffix in JSON_SUFFIXES:
        return JsonLines(path, step or "step")
    return EventFiles(path)


class JsonLines:
    """One JSON object per line, with the step's number under a key; ``loss`` is read too."""

    def __init__(self, path: Path, key: str) -> None:
        self.path = path
        self.key = key
        self._at = path.stat().st_size if path.is_file() else 0
        self._rest = b""
        self._text: list[bytes] = []
        self._has_steps = False

    def text(self) -> bytes:
        lines, self._text = self._text, []
        return b"".join(line + b"\n" for line in lines) if not self._has_steps else b""

    def read(self) -> list[Seen]:
        try:
            if self.path.stat().st_size < self._at:  # it was started over
                self._at, self._rest = 0, b""
            with self.path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except OSError:
            return []
        self._at += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        now_s = time.monotonic()
        found = []
        for line in lines:
            step = self._step_in(line, now_s)
            if step is not None:
                found.append(step)
            elif not self._has_steps:
                self._text.append(line)
        self._has_steps = self._has_steps or bool(found)
        return found

    def _step_in(self, line: bytes, at_s: float) -> Seen | None:
        try:
            record = json.loads(line)
        except ValueError:
            return None
        number = record.get(self.key) if isinstance(record, dict) else None
        if not isinstance(number, (int, float)) or isinstance(number, bool):
            return None
        return Seen(at_s, int(number), as_loss(record.get("loss")))


class EventFiles:
    """TensorBoard's event files in a folder and below it. Each event carries its own time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._at = {file: file.stat().st_size for file in self._files()}

    def _files(self) -> list[Path]:
        return sorted(self.folder.rglob(f"{EVENT_FILES}*"))

    def text(self) -> bytes:
        return b""

    def read(self) -> list[Seen]:
        to_monotonic = time.monotonic() - time.time()
        events: list[tuple[float, int]] = []
        for path in self._files():
            at = self._at.get(path, 0)
            with path.open("rb") as file:
                file.seek(at)
                data = file.read()
            used, found = parse_events(data)
            self._at[path] = at + used
            events += found
        seen: list[Seen] = []
        for wall_s, step in sorted(events):
            if not seen or seen[-1].number != step:
                seen.append(Seen(wall_s + to_monotonic, step))
        return seen


def parse_events(data: bytes) -> tuple[int, list[tuple[float, int]]]:
    """How many bytes of an event file were whole records, and (wall time, step) of those that
    have a summary.

    A record is its length (8 bytes, little endian), a checksum (4), the ``Event`` message and
    another checksum (4); of the message, fields 1 (double: wall time), 2 (varint: step) and 5
    (summary) are read. See TensorFlow's ``event.proto`` and ``record_writer.h``.
    """
    at, events = 0, []
    while at + 12 <= len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        if length > LARGEST_RECORD or at + 16 + length > len(data):
            break
        event = _event(data[at + 12 : at + 12 + length])
        if event is not None:
            events.append(event)
        at += 16 + length
    return at, events


def _event(message: bytes) -> tuple[float, int] | None:
    wall_s, step, has_summary, at = 0.0, 0, False, 0
    try:
        while at < len(message):
            key, at = _varint(message, at)
            number, kind = key >> 3, key & 7
            if kind == 0:
                value, at = _varint(message, at)
                step = value if number == 2 else step
            elif kind == 1:
                if number == 1:
                    (wall_s,) = struct.unpack_from("<d", message, at)
                at += 8
            elif kind == 2:
                size, at = _varint(message, at)
                at += size
                has_summary = has_summary or number == 5
            elif kind == 5:
                at += 4
            else:
                return None
    except (IndexError, struct.error):
        return None
    return (wall_s, step) if has_summary else None


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
