"""Finds the training loss in a line of output."""

from __future__ import annotations

import math
import re
from itertools import chain
from typing import NamedTuple

from probes.black_box.discovery.text import READ_CHARACTERS
from probes.black_box.discovery.vocabulary import is_evaluation, is_training, words_of

VALUE = r"[-+]?(?:\d+(?:\.\d*)?(?:e[-+]?\d+)?|\.\d+|nan|inf(?:inity)?)"
_LOSS = re.compile(
    rf"""(?:loss|nll|xent|cross_?entropy|criterion|objective)
    (?P<after>(?:\d+(?![.\d]))?(?:[_/.-][a-z]+(?:\d+(?![.\d]))?|_\d+(?![.\d]))*
    (?:[ ]\d+(?=[:=]\s*[-+.\dni]))?)
    (?:[ ](?:train|training|is|value)|[ ]?\([a-z]+\))?
    ["']?(?:\s?|\s*(?=\|))(?:[:=|\[(]*|-(?=\s))\s*["'\[(]*(?:tensor\(\[?)?(?:\d+\s+(?=-?\d+\.\d))?
    (?:(?<![a-z\d])|(?=[-+]?\d*\.\d))(?P<value>{VALUE})(?![\w/]|:\d)""",
    re.IGNORECASE | re.VERBOSE,
)
"""A number right after the name belongs to it, ``loss1: 0.5``, unless it has a point: ``loss0.57``.
"""
_LOSS_OF = re.compile(
    rf"""\b(?P<name>[a-z_]*loss)[ ](?:in|at|for|after)[ ][^:=]{{1,40}}?
    [ ]?[:=][ ](?P<value>{VALUE})(?![\w/%]|:\d)""",
    re.IGNORECASE | re.VERBOSE,
)
"""A loss that says of which step it is before its value: ``loss at step 12: 0.43``."""
_LOSS_BEHIND = re.compile(
    rf"""(?:^|[,;|])\s*(?P<value>{VALUE})\s
    (?P<name>(?:(?:avg|average|total|train)[ _])?loss)\s*(?=[,;|]|$)""",
    re.IGNORECASE | re.VERBOSE,
)
"""A loss whose name stands behind its value: ``4.40 s run, 11.875 loss, 2e-5 LR``."""
_BEFORE = re.compile(r"(?:\b(?P<word>[A-Za-z]+) )?(?P<name>[\w/.-]*)$")
_NAN_GRADIENT = re.compile(r"grad(?:ient)?[ _]?norm\W{0,6}nan\b", re.IGNORECASE)
"""transformers prints 0 for a loss that is NaN (``logging_nan_inf_filter``), but not for its
gradient. With half precision a gradient alone may be NaN, and its step is then skipped."""
_MARKS = ("loss", "nll", "xent", "entropy", "criterion", "objective")
_TOTAL = {"loss", "total_loss", "train_loss", "train/loss", "training_loss"}
_BEFORE_TOTAL = {
    "total", "tot", "train", "training", "avg", "average", "ave", "mean", "running", "moving",
    "step", "epoch", "batch", "iter", "iteration", "the", "current", "final", "overall", "sum",
    "and", "with", "info", "debug", "lm",
}  # fmt: skip
"""Words before ``loss`` that do not say of which part it is, as ``cls`` and ``box`` do."""
_NOT_LOSSES = {"kl", "scale", "scaler", "weight", "time", "coef", "fn", "spike", "best", "diff"}


class Loss(NamedTuple):
    """A loss that was printed."""

    name: str
    value: float
    is_total: bool
    """It is the whole one, by its name and the word before it, and no part of it."""
    is_behind: bool = False
    """Its name stands behind its value."""

    @property
    def is_finite(self) -> bool:
        return math.isfinite(self.value)


def loss_in(text: str) -> Loss | None:
    """The training loss in a line, NaN and infinity included.

    The total comes first where there are several; a loss that is not finite comes before all. A
    loss of 0 with a gradient that is NaN counts as NaN. Only the beginning of a long line is looked
    at: each match looks back at what stands before it.
    """
    text = text[:READ_CHARACTERS]
    lower = text.lower()
    if not any(mark in lower for mark in _MARKS):
        return None
    best: Loss | None = None
    found_by = (expression.finditer(text) for expression in (_LOSS, _LOSS_OF, _LOSS_BEHIND))
    for match in chain.from_iterable(found_by):
        found = _training_loss(match)
        if found is None:
            continue
        if not found.is_finite:
            return found
        if best is None or (found.is_total and not best.is_total):
            best = found
    if best is not None and best.value == 0 and _NAN_GRADIENT.search(text):
        return best._replace(value=math.nan)
    return best


def _training_loss(match: re.Match[str]) -> Loss | None:
    """The loss of this match; ``None`` for that of an evaluation, and for what is called a loss and
    is none."""
    text = match.string
    start = match.start() if match.re is _LOSS else match.start("name")
    before = _BEFORE.search(text[max(0, start - 40) : start])
    word = ((before and before["word"]) or "").lower()
    end = match.end("after" if "after" in match.groupdict() else "name")
    name = (before["name"] if before else "") + text[start:end]
    words = words_of(f"{word} {name}")
    if is_evaluation(words) or not _NOT_LOSSES.isdisjoint(words):
        return None
    lead = words_of(text[:start])
    if not is_training(words) and (is_evaluation(lead) or lead[:1] == ["sampling"]):
        return None
    is_part = name.lower() == "loss" and word not in {"", *_BEFORE_TOTAL}
    is_total = name.lower() in _TOTAL and not is_part
    return Loss(name, float(match["value"]), is_total, match.re is _LOSS_BEHIND)


class LastLoss:
    """Keeps the loss that was printed since the last step."""

    def __init__(self) -> None:
        self.value: float | None = None
        """``None`` if none was printed since."""
        self.lines = 0
        """Lines that told a loss, from the start."""
        self._is_total = False

    def hear(self, loss: Loss) -> None:
        """A line told a loss. Of several between two steps the total is kept, and before all one
        that is not finite."""
        self.lines += 1
        waiting = self.value
        is_kept = waiting is not None and (not math.isfinite(waiting) or self._is_total)
        if not is_kept or loss.is_total or not loss.is_finite:
            self.value, self._is_total = loss.value, loss.is_total

    def step(self) -> None:
        """A step has got it."""
        self.value = None
