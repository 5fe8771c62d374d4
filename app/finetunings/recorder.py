"""Stores a run while it goes on: ``Recorder`` is the ``on_event`` of ``finetuning.run.FineTuning``.

Training goes on when the database cannot be reached. What could not be stored is stored at the end,
from the run's own folder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.database import Database
from app.finetunings import service
from app.finetunings.state import RUNNING
from probes.errors import MeasurementError

log = logging.getLogger(__name__)

RUNNING_PHASES = tuple(state.value for state in RUNNING)


class Recorder:
    """Writes the events of one run into its row."""

    def __init__(self, database: Database, finetuning_id: str) -> None:
        self.database = database
        self.finetuning_id = finetuning_id
        self.missed = False
        """Whether something could not be stored."""

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Store an event of ``FineTuning``; one that says nothing lasting is left out."""
        phase = event.get("phase")
        rest = {name: value for name, value in event.items() if name != "phase"}
        if phase in RUNNING_PHASES:
            self._store(lambda: service.enter(self.database, self.finetuning_id, str(phase)))
        elif phase == "prepared":
            self._store(lambda: service.prepared(self.database, self.finetuning_id, rest))
        elif phase == "fitted":
            self._store(lambda: service.fitted(self.database, self.finetuning_id, rest))
        elif phase == "train" and "step" in event:
            self._store(lambda: service.add_event(self.database, self.finetuning_id, event))

    def resumed_from(self, step: int) -> None:
        """The run goes on after this step: what was logged later is trained again."""
        self._store(lambda: service.drop_events_after(self.database, self.finetuning_id, step))

    def finish(
        self,
        state: str,
        facts: Mapping[str, Any] | None = None,
        reason: str = "",
        *,
        events: Iterable[Mapping[str, Any]] = (),
        fit: Mapping[str, Any] | None = None,
    ) -> None:
        """End the run. ``events`` and ``fit`` are those of its folder: they are stored again where
        something was missed. Raises ``MeasurementError`` if the database cannot be reached."""
        if self.missed:
            if fit is not None:
                service.fitted(self.database, self.finetuning_id, fit)
            service.add_events(self.database, self.finetuning_id, events)
        service.finish(self.database, self.finetuning_id, state, facts, reason)

    def _store(self, write: Callable[[], object]) -> None:
        try:
            write()
        except MeasurementError as error:
            if not self.missed:
                log.warning(
                    "The run goes on, but is not stored for now: %s It is stored when it ends.",
                    error,
                )
            self.missed = True
