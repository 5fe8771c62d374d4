"""The devices that a request asks for, as one name that can be stored and compared."""

from __future__ import annotations

import re
from collections.abc import Sequence

from probes.errors import InputError
from probes.group import Group, is_group, parse_group

LONGEST = 240
"""Characters that a job keeps of a name; that of a group which can exist has fewer."""
TIMES = "*"
"""``cuda*2`` and ``*2``: two devices of that kind, or of the best device's kind."""


def name_of(device: str | None, devices: int | Sequence[str] | None) -> str | None:
    """What the request runs on, as names are compared. One device is no group."""
    if isinstance(devices, int) and devices > 1:
        return f"{(device or '').strip().lower()[:LONGEST]}{TIMES}{devices}"
    if devices is not None and not isinstance(devices, int):
        names = [each.strip().lower() for each in devices]
        kinds = {name.partition(":")[0] for name in names}
        if len(names) == 1 or len(kinds) > 1:
            return ",".join(names)[:LONGEST]
        if kinds & {"cpu", "mps"}:
            return f"{kinds.pop()}{TIMES}{len(names)}"
        return f"{kinds.pop()}:{','.join(name.partition(':')[2] or '0' for name in names)}"
    return device.strip().lower() if device is not None else None


def names_group(name: str | None) -> bool:
    """Whether a name means several devices."""
    if name is None:
        return False
    listed = re.fullmatch(r"[a-z]+(:\d+)?(,[a-z]+(:\d+)?)+", name)
    return bool(is_group(name) or listed or re.fullmatch(rf"[a-z:0-9]*\{TIMES}\d+", name))


def group_meant(name: str, offered: Sequence[str]) -> Group | None:
    """The group among these devices, best first; ``None`` where they do not include it."""
    kind, times, count = name.rpartition(TIMES)
    if not offered:
        return None
    try:
        return parse_group(count if times else name, offered, kind or None)
    except InputError:
        return None


def words_of(name: str) -> str:
    """``cuda*2`` as people read it."""
    kind, times, count = name.rpartition(TIMES)
    return f"{count} devices{f' of kind {kind}' if kind else ''} together" if times else name
