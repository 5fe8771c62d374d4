"""Doing a fine-tuning run from the command line, with its progress shown and Ctrl-C heeded."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

from app.cli.finetuning.display import FineTuningDisplay
from app.finetunings.running import RunWatch, measured_text, run_stored, stop_on
from finetuning.run import FineTuning, Outcome

if TYPE_CHECKING:
    from app.database import Database
    from app.machine.target import Target
    from app.settings import Settings


def execute(
    run: FineTuning, settings: Settings, target: Target, database: Database, headroom: float
) -> Outcome:
    """Prepare, fit and train, with every probe and event stored. See ``FineTuning.run``.

    The first Ctrl-C during training saves a checkpoint and ends; the second ends at once."""
    with FineTuningDisplay() as display:
        watch = RunWatch(
            event=display.event,
            asked=display.asked,
            measured=lambda measurement: display.line(f"  {measured_text(measurement)}"),
            waiting=display.waiting,
            worker=display.worker,
        )

        def stopping(watched: FineTuning) -> contextlib.AbstractContextManager[object]:
            def told(text: str) -> None:
                display.line(f"{text} Ctrl-C again ends at once.")

            return stop_on([signal.SIGINT], watched, told)

        return run_stored(run, settings, target, database, headroom, watch, stopping)
