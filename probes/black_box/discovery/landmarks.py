"""Evaluations and ends of epochs in a program's output: moments at which memory may be higher."""

from __future__ import annotations

import re

from probes.black_box.discovery.text import without_details
from probes.black_box.discovery.vocabulary import is_evaluation, words_of

LONGEST_HEADING = 60
"""Characters of a line without numbers that announces an evaluation."""

_EPOCH = re.compile(r"\bepochs?\b[\s:=#\[(\"']{0,4}(\d{1,6})(?![\d.]*\.\d)", re.IGNORECASE)
_DIGIT = re.compile(r"\d")
_SAMPLING = "sampling"
_RESULTS = {
    "accuracy", "acc", "f1", "bleu", "rouge", "wer", "cer", "auc", "miou", "map", "perplexity",
    "end", "ended", "finished", "completed", "complete", "done", "summary",
}  # fmt: skip
"""Words that make a line about an epoch one that is printed at its end."""


class Landmarks:
    """Give it every line: ``line`` for those that tell of no step, ``step`` for those that do.

    What is printed before the first step, such as a check of the evaluation, does not count: the
    optimizer's state did not exist yet.
    """

    def __init__(self) -> None:
        self.is_under_way = False
        """An evaluation was printed about, or an epoch has ended, since the last step."""
        self._epoch: int | None = None
        self._has_steps = False
        self._has_plain_steps = False

    def restart(self) -> None:
        """Other lines than before are the steps."""
        self.is_under_way = self._has_steps = self._has_plain_steps = False

    def line(self, raw: str) -> None:
        """A line that tells of no step."""
        text = without_details(raw)
        has_new_epoch = self._is_new_epoch(text)
        if self._has_steps and not self.is_under_way:
            self.is_under_way = has_new_epoch or _is_result(text)

    def step(self, raw: str, *, starts_again: bool = False) -> bool:
        """A line that tells that a step has ended. Whether an evaluation or the end of an epoch
        came between it and the step before; ``starts_again``: the counter says so."""
        text = without_details(raw)
        has_new_epoch = self._is_new_epoch(text) and self._has_steps
        has_passed = self.is_under_way or has_new_epoch or starts_again
        # Keras and others add the result of the evaluation to the last line of the epoch.
        evaluated = is_evaluation(words_of(text))
        self.is_under_way = evaluated and self._has_plain_steps
        self._has_plain_steps = self._has_plain_steps or not evaluated
        self._has_steps = True
        return has_passed

    def _is_new_epoch(self, text: str) -> bool:
        match = _EPOCH.search(text)
        if match is None:
            return False
        before, self._epoch = self._epoch, int(match[1])
        return before is not None and self._epoch > before


def _is_result(text: str) -> bool:
    words = words_of(text)
    if is_evaluation(words) or _SAMPLING in words:
        return bool(_DIGIT.search(text)) or len(text) <= LONGEST_HEADING
    return bool(_EPOCH.search(text)) and not _RESULTS.isdisjoint(words)
