"""Memory that was refused while a program went on: it skipped the batch, or trains on with a
smaller one. Known from what the program says about it. Pure."""

from __future__ import annotations

import re

from probes.devices.signatures import SIGNATURES
from probes.measurement import Verdict

LIKELY_SHARE = 0.5
"""A program's own words are believed from this share of the cap on. Where less was in use, they are
rather its settings."""
STREAMS_APART_S = 1.0
"""What comes later than this on one stream was printed after what came on the other."""

_ALLOCATORS = [rule for rule in SIGNATURES if rule.allocator and rule.verdict is Verdict.OOM]
_OWN_WORDS = re.compile(r"\bout[- ]of[- ]memory\b|\boom\b(?!\W{0,3}\d)", re.IGNORECASE)
_REACTION = re.compile(
    r"\b(?:reduc|halv|skip|retry|retri|try|lower|decreas|shrink|fall|drop|stop|abort)\w*",
    re.IGNORECASE,
)
_ADVICE = re.compile(
    r"\b(?:if|when|whenever|on|upon|avoid|prevent|case|could|can|may|might|should|would|until|no)\b",
    re.IGNORECASE,
)


class CaughtOutOfMemory:
    """Give it each line; it keeps the first one that tells of memory that was refused."""

    def __init__(self) -> None:
        self.line = ""
        self.at_s = 0.0
        """When it arrived."""
        self.is_certain = False
        """It has the words of torch's allocator."""
        self.went_on = False
        """A step came after it."""

    def read(self, line: str, at_s: float) -> None:
        if self.is_certain or ("memory" not in (lower := line.lower()) and "oom" not in lower):
            return
        is_certain = any(rule.pattern.search(line) for rule in _ALLOCATORS)
        if is_certain or (not self.line and _is_told(line)):
            self.line, self.at_s, self.is_certain = " ".join(line.split()), at_s, is_certain

    def stepped(self, at_s: float) -> None:
        """A line tells of a step. What was printed before an error that ended the program may be
        read after it, from the other stream."""
        self.went_on = bool(self.line) and at_s - self.at_s > STREAMS_APART_S

    def is_likely(self, share: float) -> bool:
        """Whether memory was refused, given the share of its cap that was in use at most."""
        return bool(self.line) and (self.is_certain or share >= LIKELY_SHARE)


def _is_told(line: str) -> bool:
    """Whether a program says in its own words that it ran out of memory and what it does now."""
    return bool(_OWN_WORDS.search(line) and _REACTION.search(line) and not _ADVICE.search(line))
