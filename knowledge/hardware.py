"""Devices, operating systems and sizes in the words that environment pages use for them."""

from __future__ import annotations

import re

_DEVICES = {
    "cuda": r"cuda|nvidia|geforce|rtx|tesla|\bgpu\b",
    "rocm": r"rocm|\bamd\b|\bhip\b|instinct|\bmi\d{2,3}|\bgpu\b",
    "mps": r"\bmps\b|apple|metal",
    "xpu": r"\bxpu\b|intel (?:arc|gpu|data ?cent)|\bgpu\b",
    "cpu": r"\bcpu\b",
}
ACCELERATORS = ("cuda", "rocm", "mps", "xpu")
"""Kinds of device other than the CPU."""

_ONLY_NAMED = re.compile(r"nvidia|cuda|rocm|\bamd\b|intel|apple|\bmps\b|\bxpu\b|rtx", re.IGNORECASE)
_SYSTEMS = {
    "linux": r"linux|ubuntu|debian|fedora|centos|rhel|\bwsl",
    "darwin": r"mac ?os|darwin|os x",
    "windows": r"windows",
}
_SIZE = re.compile(r"(?<![\d.])(\d{1,9}(?:\.\d{1,9})?)\s{0,9}(T|G|M)(i)?B", re.IGNORECASE)
_POWERS = {"m": 2, "g": 3, "t": 4}


def device_kinds(text: str) -> tuple[str, ...]:
    """The kinds of device that a sentence allows, like ``("cuda", "cpu")``.

    A GPU of no maker is one of any maker; a sentence that names none gives an empty tuple.
    """
    named = _ONLY_NAMED.search(text) is not None
    found = []
    for kind, pattern in _DEVICES.items():
        if named and kind != "cpu":
            pattern = pattern.replace(r"|\bgpu\b", "")  # noqa: PLW2901
        if re.search(pattern, text, re.IGNORECASE):
            found.append(kind)
    if not found and re.search(r"\bany\b", text, re.IGNORECASE):
        return tuple(_DEVICES)
    return tuple(found)


def operating_systems(text: str) -> tuple[str, ...]:
    """The systems that a sentence allows; ``linux``, ``darwin`` and ``windows``."""
    if re.search(r"\bany\b|\ball\b", text, re.IGNORECASE):
        return tuple(_SYSTEMS)
    return tuple(
        name for name, pattern in _SYSTEMS.items() if re.search(pattern, text, re.IGNORECASE)
    )


def size_bytes(text: str) -> int | None:
    """The first size in a text, like ``16 GB``; decimal units are taken as they are written."""
    match = _SIZE.search(text)
    if match is None:
        return None
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** _POWERS[match[2].lower()])


def device_memory_bytes(text: str) -> int | None:
    """The first size that is not one of main memory: 8 GB of ``16 GB RAM, GPU with 8 GB VRAM``."""
    text = re.sub(
        rf"{_SIZE.pattern}\s+(?:of\s+)?(?:RAM|system|main)\b", "", text, flags=re.IGNORECASE
    )
    return size_bytes(text)
