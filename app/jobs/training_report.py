"""What a fine-tuning and its evaluation tell as events of their jobs: phases, notes, and now and
then how far it is.

Everything that it logs is in its own events; see ``app.finetunings``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from app.finetunings.state import RUNNING
from app.jobs.events import Report
from probes.errors import MeasurementError

EVERY_S = 10.0
"""Training says at most this often how far it is."""
EVALUATION_EVERY_S = 2.0
TOLD = ("step", "of", "loss", "eval_loss", "left_s")
PHASES = tuple(state.value for state in RUNNING)

log = logging.getLogger(__name__)


class TrainingReport:
    """Takes the events of ``finetuning.run.FineTuning``. Training goes on while the database cannot
    be used. Raises ``KeyboardInterrupt`` when the job is no longer its runner's.

    ``already`` is the step up to which earlier attempts have told their progress: a step that is
    trained again is none, so that a run that dies at the same step every time comes to its end.
    """

    def __init__(
        self, report: Report, *, already: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report = report
        self._clock = clock
        self._told_step = already
        self._told_at_s = float("-inf")
        self._phase = ""

    def __call__(self, event: Mapping[str, Any]) -> None:
        phase = str(event.get("phase", ""))
        if phase in PHASES and phase != self._phase:
            self._phase = phase
            self._tell(lambda: self._report.tell("phase", {"phase": phase}))
        elif phase in ("fit", "damaged"):
            self.note(str(event["line"]))
        elif phase == "resumed":
            self.note(f"Continuing after step {event['step']}.")
        elif phase == "train" and "step" in event:
            self._training(event)

    def note(self, text: str) -> None:
        self._tell(lambda: self._report.note(text))

    def _training(self, event: Mapping[str, Any]) -> None:
        if self._clock() < self._told_at_s + EVERY_S:
            return
        self._told_at_s = self._clock()
        if event["step"] > self._told_step:
            self._told_step = int(event["step"])
            data = {name: event[name] for name in TOLD if event.get(name) is not None}
            self._tell(lambda: self._report.tell("progress", data))
        else:
            self._tell(self._report.check)

    def _tell(self, tell: Callable[[], None]) -> None:
        try:
            tell()
        except MeasurementError as error:
            log.warning("The run goes on, but an event of its job is not stored: %s", error)


class EvaluationReport:
    """Takes the events of ``FineTuning.evaluate``, and calls ``changed`` with each that is stored.

    An item counts as progress if this attempt has made its row, so that an evaluation that dies at
    the same item every time comes to its end.
    """

    def __init__(
        self,
        report: Report,
        changed: Callable[[], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._report = report
        self._changed = changed
        self._clock = clock
        self._begun: dict[tuple[str, str], int] = {}
        self._told_at_s = float("-inf")

    def __call__(self, event: Mapping[str, Any]) -> None:
        if event.get("phase") != "evaluate" or not event.get("of"):
            return
        task = str(event.get("model", "")), str(event.get("task", ""))
        done = int(event["step"])
        first = self._begun.setdefault(task, done)
        is_due = self._clock() >= self._told_at_s + EVALUATION_EVERY_S
        if done > first and (is_due or done >= event["of"]):
            self._told_at_s = self._clock()
            data = {"model": task[0], "task": task[1], "step": done, "of": int(event["of"])}
            try:
                self._report.tell("progress", data)
                self._changed()
            except MeasurementError as error:
                log.warning("The evaluation goes on, but its progress is not stored: %s", error)
