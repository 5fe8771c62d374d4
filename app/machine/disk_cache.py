"""Answers of slow questions, kept in the user's cache folder for as long as they are surely right.

What an answer depends on and can be read in microseconds is its *key* (environment variables, the
boot's id); files that it depends on are its *witnesses*, and one that is not as it was makes the
answer forgotten. After ``LONGEST_S`` it is asked anew in any case. Nothing here ever fails a
command: what cannot be read is asked again, what cannot be written is not kept.
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
"""How long an answer is kept whose witnesses are all as they were."""
FORM = 1
"""Of what is written; raise it when that changes."""


def kept(kind: str, key: Mapping[str, Any], *, now_s: float | None = None) -> Any:
    """The answer; ``None`` when there is none that is surely right."""
    try:
        entry = json.loads(_file(kind, key).read_text(encoding="utf-8"))
        age_s = (time.time() if now_s is None else now_s) - entry["at_s"]
        same = entry["form"] == FORM and entry["key"] == dict(key) and 0 <= age_s < LONGEST_S
        if same and all(_state(path) == state for path, state in entry["witnesses"].items()):
            return entry["value"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


def keep(kind: str, key: Mapping[str, Any], value: Any, witnesses: Iterable[str | Path]) -> None:
    """Keep a JSON-ready answer. Files that are not there count too: they must stay away."""
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
    """What shows that a file has changed. Files of ``/proc`` and ``/sys`` are read: they have no
    size, and their times say nothing."""
    try:
        if path.startswith(("/proc/", "/sys/")):
            return Path(path).read_text(errors="replace")
        found = Path(path).stat()
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_size]
