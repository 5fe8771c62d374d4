"""Lengths of data sets and epochs that a program prints before it trains: ``Num examples = 4,000``,
``63 steps per epoch``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from probes.black_box.discovery.vocabulary import is_evaluation, words_of

MOST_KEPT = 32
_NUMBER = r"(?P<{0}>\d{{1,3}}(?:,\d{{3}})+|\d{{1,12}})(?![\d.,:/%-]*\d|\w)"
_WHAT = (
    r"(?:data[ _-]?points?|samples?|examples?|instances?|images?|sentences?|sequences?|records?"
    r"|rows?|graphs?|molecules?|documents?|reviews?|pairs?|triples?|users?|interactions?|windows?)"
)
_SET = r"(?:data[ _-]?sets?|set|split|data|loader|corpus|size|len(?:gth)?)"
_AFTER_WORDS = re.compile(
    rf"(?:(?<![A-Za-z]){_WHAT}|\btrain(?:ing)?(?:[ _-]?{_SET})*|\b{_SET})"
    rf"(?:[ _-](?:size|len(?:gth)?|count))*[\"')\]]*\s*(?:[:=]|is|has|of)?\s*{_NUMBER.format('a')}",
    re.IGNORECASE,
)
_BEFORE_WORDS = re.compile(
    rf"(?<![\w.,:/-]){_NUMBER.format('b')}\s+(?:[a-z-]+\s+)?{_WHAT}\b", re.IGNORECASE
)
_HAS_WORDS = re.compile(rf"{_WHAT}|{_SET}|train", re.IGNORECASE)


_STEPS = r"(?:(?:mini-?)?batches|steps|iterations|iters|updates)"
_PER_EPOCH = re.compile(
    rf"(?P<a>\d{{1,9}})\s+(?:[a-z]+\s+)?{_STEPS}\s*(?:/|per|in (?:an|each|one)|each)\s*epoch"
    rf"|{_STEPS}[ _]?(?:/|per|in)[ _]?(?:an |each )?epoch\W{{1,4}}(?P<b>\d{{1,9}})(?![.\d])",
    re.IGNORECASE,
)
_NUM_EXAMPLES = re.compile(r"\bNum examples\s*=\s*(\d[\d,]*)", re.IGNORECASE)
_TRAIN_BATCH = re.compile(r"\bTotal train batch size\b[^=]*=\s*(\d[\d,]*)", re.IGNORECASE)
_ON_EPOCH_LINE = re.compile(rf"\b{_STEPS}\s*[:=]\s*(?P<a>\d{{1,9}})(?![.\d/])", re.IGNORECASE)


def _steps_per_epoch_in(text: str) -> int | None:
    """The steps of an epoch, where a line says so: ``63 steps per epoch``."""
    match = _PER_EPOCH.search(text)
    return int(match["a"] or match["b"]) or None if match else None


class PrintedEpochs:
    """The steps of an epoch, as far as the lines tell that come before the first step.

    Three kinds do: ``63 steps per epoch``; the header of transformers and its examples, with the
    samples and the samples per step; and lines about an epoch such as ``Epoch 3 | Steps: 63``.
    """

    def __init__(self) -> None:
        self._per_epoch: int | None = None
        self._samples: int | None = None
        self._samples_per_step: int | None = None
        self._on_epoch_lines: list[int] = []

    def read(self, raw: str) -> None:
        if "poch" in raw:
            self._per_epoch = _steps_per_epoch_in(raw) or self._per_epoch
            if match := _ON_EPOCH_LINE.search(raw):
                self._on_epoch_lines.append(int(match["a"]))
        if "=" not in raw:
            return
        if match := _NUM_EXAMPLES.search(raw):
            self._samples = int(match[1].replace(",", ""))
        elif match := _TRAIN_BATCH.search(raw):
            self._samples_per_step = int(match[1].replace(",", ""))

    @property
    def steps(self) -> int | None:
        """``None`` where it is not told."""
        if self._per_epoch:
            return self._per_epoch
        if self._samples and self._samples_per_step:
            return -(-self._samples // self._samples_per_step)
        return self._told_twice

    @property
    def _told_twice(self) -> int | None:
        """The number on the lines about epochs, where two epochs or more had the same: it may
        count on from one to the next."""
        told = set(self._on_epoch_lines)
        return (told.pop() or None) if len(told) == 1 and len(self._on_epoch_lines) > 1 else None


@dataclass(frozen=True)
class PrintedLength:
    """A number that may be the samples of an epoch, and the line that told it."""

    samples: int
    line: str
    is_training: bool
    """The line speaks of training."""


class PrintedLengths:
    """Give it the lines that are printed before the first step."""

    def __init__(self) -> None:
        self._found: dict[int, PrintedLength] = {}

    def read(self, raw: str) -> None:
        if len(raw) > 300 or len(self._found) >= MOST_KEPT or not _HAS_WORDS.search(raw):
            return
        words = words_of(raw)
        is_training = any(word.startswith("train") for word in words)
        if is_evaluation(words) and not is_training:
            return
        for pattern, name in ((_AFTER_WORDS, "a"), (_BEFORE_WORDS, "b")):
            for match in pattern.finditer(raw):
                samples = int(match[name].replace(",", ""))
                if samples > 1:
                    found = PrintedLength(samples, " ".join(raw.split()), is_training)
                    self._found.setdefault(samples, found)

    def within(self, low: int, high: int) -> PrintedLength | None:
        """The one length between these two, inclusive; of several the only one about training."""
        fitting = [found for samples, found in self._found.items() if low <= samples <= high]
        if len(fitting) > 1:
            fitting = [found for found in fitting if found.is_training]
        return fitting[0] if len(fitting) == 1 else None
