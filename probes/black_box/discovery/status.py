"""Signs that lines with a loss come now and then, as those of a status do, not with each step."""

from __future__ import annotations

import re
from dataclasses import dataclass

from probes.black_box.discovery.shape import NUMBER
from probes.black_box.discovery.vocabulary import SIZE_UNITS, tells_of_progress, words_of

RISES_NEEDED = 4
NUMBERS_TO_REPEAT = 3
"""A line of fewer numbers may well be the same twice: ``loss: 2.30``."""
MOST_NUMBERS = 30

_PROGRESS = re.compile(r"\bprogress\b", re.IGNORECASE)
_CLOCK_BEFORE = re.compile(r"(?:time|elapsed|took|eta|remaining|left)[\"']?\W{0,3}$", re.IGNORECASE)
_CLOCK_AFTER = re.compile(r"\s?(?:ms|s|secs?|seconds|m|mins?|minutes|h|hours)\b", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z][\w/. @-]*$")
_UNIT = re.compile(r"\s?([A-Za-z]+)")
_NO_PROGRESS = {
    "lr", "learning", "rate", "mem", "memory", "vram", "gpu", "acc", "accuracy", "top1", "top5",
    "grad", "gradient", "norm", "gnorm", "momentum", "scale", "f1", "auc", "psnr", "reward",
}  # fmt: skip
"""Words in the name of a number that may rise without telling how far the training is."""
_DONE = {"progress", "percent", "complete", "completion"}


@dataclass
class _Rise:
    """How one number of these lines moves."""

    last: float
    rises: int = 0
    falls: int = 0
    least: float = 0.0
    most: float = 0.0

    def add(self, value: float) -> None:
        delta = value - self.last
        self.last = value
        self.falls += delta < 0
        if delta > 0:
            self.rises += 1
            self.least = min(self.least or delta, delta)
            self.most = max(self.most, delta)

    @property
    def is_steady(self) -> bool:
        return not self.falls and self.rises >= RISES_NEEDED and self.most <= 2 * self.least


class StatusSigns:
    """Follows lines of one shape. ``are_seen``: they tell how far the training has come by a
    percentage or a decimal number, or print one state twice, so there may be steps between them."""

    def __init__(self) -> None:
        self.are_seen = False
        self._last = ""
        self._rises: dict[int, _Rise] = {}

    def read(self, text: str, loss: float) -> None:
        if self.are_seen:
            return
        numbers = [*NUMBER.finditer(text)][:MOST_NUMBERS]
        is_repeated = text == self._last and len(numbers) >= NUMBERS_TO_REPEAT
        self._last = text
        self.are_seen = is_repeated or bool(_PROGRESS.search(text))
        for place, match in enumerate(numbers):
            self.are_seen |= self._tells_progress(place, match, loss)

    def _tells_progress(self, place: int, match: re.Match[str], loss: float) -> bool:
        """Whether the number at this place, a percentage or a decimal one, has grown so far."""
        text, value = match.string, float(match[0].replace(",", ""))
        is_percentage = text[match.end() : match.end() + 1] == "%"
        if value == loss or not ("." in match[0] or is_percentage) or _is_clock(match):
            return False
        if _is_measured(match, is_percentage=is_percentage):
            return False
        rise = self._rises.setdefault(place, _Rise(value))
        rise.add(value)
        return rise.is_steady


def _is_clock(match: re.Match[str]) -> bool:
    before = match.string[max(0, match.start() - 20) : match.start()]
    return bool(_CLOCK_BEFORE.search(before) or _CLOCK_AFTER.match(match.string, match.end()))


def _is_measured(match: re.Match[str], *, is_percentage: bool) -> bool:
    """Whether its name or unit says that it is something else than how far the training is."""
    before = match.string[max(0, match.start() - 30) : match.start()].rstrip(" \t:=[(\"'")
    found = _NAME.search(before)
    words = words_of(found[0]) if found else []
    if words and (tells_of_progress(before) or not _DONE.isdisjoint(words)):
        return False
    unit = _UNIT.match(match.string, match.end())
    is_size = unit is not None and unit[1].lower() in SIZE_UNITS
    return is_size or not _NO_PROGRESS.isdisjoint(words) or (is_percentage and bool(words))
