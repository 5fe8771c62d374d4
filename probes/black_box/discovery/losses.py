"""Finds the training loss in a line of output."""

from __future__ import annotations

import math
import re

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
_BEFORE = re.compile(r"(?:\b(?P<word>[A-Za-z]+) )?(?P<name>[\w/.-]*)$")
_NAN_GRADIENT = re.compile(r"grad(?:ient)?[ _]?norm\W{0,6}nan\b", re.IGNORECASE)
"""transformers prints 0 for a loss that is NaN (``logging_nan_inf_filter``), but not for its
gradient. With half precision a gradient alone may be NaN, and its step is then skipped."""
_MARKS = ("loss", "nll", "xent", "entropy", "criterion", "objective")
_TOTAL = {"loss", "total_loss", "train_loss", "train/loss", "training_loss"}
_NOT_LOSSES = {"scale", "scaler", "weight", "time", "coef", "fn", "spike", "best", "diff"}


def loss_in(text: str) -> tuple[str, float] | None:
    """The name and the value of the training loss in a line, NaN and infinity included.

    The total comes first where there are several; a loss that is not finite comes before all. A
    loss of 0 with a gradient that is NaN counts as NaN.
    """
    lower = text.lower()
    if not any(mark in lower for mark in _MARKS):
        return None
    best: tuple[str, float] | None = None
    for match in [*_LOSS.finditer(text), *_LOSS_OF.finditer(text)]:
        start = match.start()
        before = _BEFORE.search(text[max(0, start - 40) : start])
        end = match.end("after" if "after" in match.groupdict() else "name")
        name = (before["name"] if before else "") + text[start:end]
        words = words_of(f"{(before and before['word']) or ''} {name}")
        if is_evaluation(words) or not _NOT_LOSSES.isdisjoint(words):
            continue
        lead = words_of(text[:start])
        if not is_training(words) and (is_evaluation(lead) or lead[:1] == ["sampling"]):
            continue
        value = float(match["value"])
        if not math.isfinite(value):
            return name, value
        if best is None or (is_total(name) and not is_total(best[0])):
            best = name, value
    if best is not None and best[1] == 0 and _NAN_GRADIENT.search(text):
        return best[0], math.nan
    return best


def is_total(name: str) -> bool:
    """Whether a loss of this name is the whole one, and no part of it."""
    return name.lower() in _TOTAL


class LastLoss:
    """Keeps the loss that was printed since the last step."""

    def __init__(self) -> None:
        self.value: float | None = None
        """``None`` if none was printed since."""
        self.lines = 0
        """Lines that told a loss, from the start."""
        self._is_total = False

    def hear(self, loss: tuple[str, float]) -> None:
        """A line told a loss. Of several between two steps the total is kept, and before all one
        that is not finite."""
        self.lines += 1
        name, value = loss
        waiting = self.value
        is_kept = waiting is not None and (not math.isfinite(waiting) or self._is_total)
        if not is_kept or is_total(name) or not math.isfinite(value):
            self.value, self._is_total = value, is_total(name)

    def step(self) -> None:
        """A step has got it."""
        self.value = None
