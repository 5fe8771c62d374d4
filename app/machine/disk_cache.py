"""Answers to slow questions, cached in the user's cache folder for as long as they are certain.

The facts that an answer depends on and that can be read in microseconds are its *key* (environment
variables, the boot's id). The files that it depends on are its *witnesses*: if one of them has
changed, the answer is discarded. Answers expire after ``LONGEST_S``. Nothing here ever fails a
command: an entry that cannot be read counts as missing, and one that cannot be written is skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

LONGEST_S = 24 * 3600.0
"""How long an answer is valid while its witnesses are unchanged."""
FORM = 1
"""Version of the file format; increase it when the format changes."""


def kept(
    kind: str,
    key: Mapping[str, Any],
    *,
    now_s: float | None = None,
    longest_s: float = LONGEST_S,
) -> Any:
    """The cached answer; ``None`` without one that is certainly still right."""
    try:
        entry = json.loads(_file(kind, key).read_text(encoding="utf-8"))
        age_s = (time.time() if now_s is None else now_s) - entry["at_s"]
        same = entry["form"] == FORM and entry["key"] == dict(key) and 0 <= age_s < longest_s
        if same and all(_state(path) == state for path, state in entry["witnesses"].items()):
            return entry["value"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def keep(kind: str, key: Mapping[str, Any], value: Any, witnesses: Iterable[str | Path]) -> None:
    """Cache a JSON-ready answer. A witness may be missing; it must then stay missing."""
    entry = {
        "form": FORM,
        "at_s": time.time(),
        "key": dict(key),
        "witnesses": {str(path): _state(str(path)) for path in witnesses},
        "value": value,
    }
    file = _file(kind, key)
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary.write_text(json.dumps(entry), encoding="utf-8")
        temporary.replace(file)
    except (OSError, TypeError, ValueError):
        temporary.unlink(missing_ok=True)


def folder() -> Path:
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("tonnage"))


def _file(kind: str, key: Mapping[str, Any]) -> Path:
    text = json.dumps(dict(key), sort_keys=True)
    return folder() / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.json"


def _state(path: str) -> Any:
    """Changes when the file does. Files in ``/proc`` and ``/sys`` are read, because their sizes and
    times mean nothing."""
    try:
        if path.startswith(("/proc/", "/sys/")):
            return Path(path).read_text(errors="replace")
        found = Path(path).stat()
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size]
