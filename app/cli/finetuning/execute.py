"""Doing a fine-tuning run from the command line: target, lease, store, Ctrl-C."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from app.cli.finetuning.display import FineTuningDisplay
from finetuning.measuring import workload
from finetuning.run import FineTuning, Outcome
from finetuning.run_folder import RunState

if TYPE_CHECKING:
    from app.database import Database
    from app.machine.target import Target
    from app.settings import Settings
    from finetuning.fit import Measurer


def execute(
    run: FineTuning, settings: Settings, target: Target, database: Database, headroom: float
) -> Outcome:
    """Prepare, fit and train, with every probe and event stored. See ``FineTuning.run``."""
    from app.devices.service import register_target
    from app.finetunings import service
    from app.finetunings.recorder import Recorder
    from finetuning.run_folder import read_json

    run.check_folder()  # a run that is refused is not stored
    register_target(database, target)
    with FineTuningDisplay() as display:
        row = service.begin(
            database,
            output=str(run.folder.path.resolve()),
            settings=run.settings.to_plain(),
            device=target.facts.device,
            fingerprint=target.fingerprint.key,
        )

        recorder = Recorder(database, row.id)

        def on_event(event: Mapping[str, Any]) -> None:
            display.event(event)
            if event.get("phase") == "resumed":
                recorder.resumed_from(int(event["step"]))
            recorder(event)

        watched = replace(
            run,
            on_event=on_event,
            open_measurer=_opener(settings, target, database, headroom, display),
        )
        with target.lease(settings, display.waiting), _stopping(watched, display):
            try:
                outcome = watched.run()
            except (Exception, KeyboardInterrupt) as error:
                state = run.folder.read_state()
                recorder.finish(state["state"], reason=str(state.get("reason") or error))
                raise
        recorder.finish(
            outcome.state.value,
            outcome.facts,
            outcome.reason,
            events=run.folder.events(),
            fit=read_json(run.folder.fit),
        )
    return outcome


def _opener(
    settings: Settings,
    target: Target,
    database: Database,
    headroom: float,
    display: FineTuningDisplay,
) -> Any:
    """What ``FineTuning.open_measurer`` takes: probes by the target, kept in the database."""

    @contextlib.contextmanager
    def opened(run: FineTuning, rows: int) -> Iterator[Measurer]:
        from app.finetunings.fitting import StoredMeasurer
        from app.machine.session import MeasuringSession

        session = MeasuringSession.open(
            settings,
            workload(run.folder.settings, run.folder.path, target.facts.device),
            target,
            headroom,
            display.worker,
            effective_batch_size=min(run.settings.training.effective_batch_size, rows),
        )
        yield StoredMeasurer(
            session,
            database,
            rows,
            on_measurement=lambda m: display.line(
                f"  {m.batch_size} rows: {m.verdict.value}"
                + (f", peak {_size(m.peak_bytes)}" if m.peak_bytes else "")
            ),
        )

    return opened


def _size(size_bytes: int) -> str:
    from probes.formatting import size_text

    return size_text(size_bytes)


@contextlib.contextmanager
def _stopping(run: FineTuning, display: FineTuningDisplay) -> Iterator[None]:
    """The first Ctrl-C during training saves a checkpoint and ends; the second ends at once."""
    asked = False

    def interrupted(number: int, frame: Any) -> None:
        nonlocal asked
        trains = run.folder.read_state().get("state") == RunState.TRAINING.value
        if asked or not trains:
            raise KeyboardInterrupt
        asked = True
        run.request_stop()
        display.line("Stopping after this step, with a checkpoint. Ctrl-C again ends at once.")

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
