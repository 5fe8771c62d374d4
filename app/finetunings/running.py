"""Running a fine-tuning with every probe and event stored: on the command line, and as a job."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.database import Database
from app.devices.service import register_target
from app.finetunings import reading, service
from app.finetunings.fitting import StoredMeasurer
from app.finetunings.recorder import Recorder
from app.machine.session import MeasuringSession
from app.machine.target import Target
from app.settings import Settings
from finetuning.measuring import workload
from finetuning.run import FineTuning, OpenMeasurer, Outcome
from finetuning.run_folder import RunState, read_json
from probes.devices.lease import OnWait
from probes.errors import InputError
from probes.formatting import plural, size_text
from probes.max_batch import Ask
from probes.measurement import Measurement
from probes.timeouts import Progress

if TYPE_CHECKING:
    from finetuning.fit import Measurer

STOPPING = "Stopping after this step, with a checkpoint."


@dataclass(frozen=True)
class RunWatch:
    """Who is told what happens to a run."""

    event: Callable[[Mapping[str, Any]], None] = lambda event: None
    """An event of ``FineTuning``, before it is stored."""
    asked: Callable[[Ask], None] = lambda ask: None
    """What the fit measures next."""
    measured: Callable[[Measurement], None] = lambda measurement: None
    waiting: OnWait | None = None
    worker: Progress | None = None
    may_store: Callable[[], bool] = lambda: True
    """Whether the run is still this process's, asked before a run that broke off is ended."""


@dataclass
class StopSignals:
    """The signals that asked a run to stop while it trained."""

    received: list[int] = field(default_factory=list)
    before: dict[int, Any] = field(default_factory=dict)

    def pass_on(self) -> None:
        """Let the handlers that were in place before deal with the first signal, if any came."""
        if self.received:
            self.forward(self.received[0])

    def forward(self, number: int) -> None:
        """Call the handler that was in place before. Without one, raise ``KeyboardInterrupt``."""
        handler = self.before.get(number)
        if callable(handler):
            handler(number, None)
        raise KeyboardInterrupt


def run_stored(
    run: FineTuning,
    settings: Settings,
    target: Target,
    database: Database,
    headroom: float,
    watch: RunWatch,
    stopping: Callable[[FineTuning], contextlib.AbstractContextManager[object]],
    *,
    finetuning_id: str | None = None,
) -> Outcome:
    """Prepare, fit and train, with the device leased and every probe and event stored. A run that
    was done before, or only prepares its data, needs no device and waits for none.

    ``stopping`` is entered while the run goes on and decides what signals do. ``finetuning_id`` is
    that of a fine-tuning that a job runs. Raises what ``FineTuning.run`` raises.
    """
    done = run.done_before()  # a run that is refused is not stored
    register_target(database, target)
    row = service.begin(
        database,
        output=str(run.folder.path.resolve()),
        settings=run.settings.to_plain(),
        device=target.facts.device,
        fingerprint=target.fingerprint.key,
        finetuning_id=finetuning_id,
    )
    recorder = Recorder(database, row.id)
    recorder.missed = done is not None

    def on_event(event: Mapping[str, Any]) -> None:
        watch.event(event)
        if event.get("phase") == "resumed":
            recorder.resumed_from(int(event["step"]))
        recorder(event)

    opener = _opener(settings, target, database, headroom, watch)
    watched = replace(run, on_event=on_event, open_measurer=opener)
    is_without = done is not None or run.until == "prepared"
    leased = contextlib.nullcontext() if is_without else target.lease(settings, watch.waiting)
    with leased, stopping(watched):
        try:
            outcome = watched.run()
        except (Exception, KeyboardInterrupt) as error:
            if watch.may_store():
                state = run.folder.read_state()
                ended = state.get("state", RunState.FAILED.value)
                facts = {"refused": isinstance(error, InputError)}
                recorder.finish(ended, facts, str(state.get("reason") or error))
            raise
    recorder.finish(
        outcome.state.value,
        {"refused": False, **(outcome.facts or {})},
        outcome.reason,
        events=run.folder.events(),
        fit=read_json(run.folder.fit),
    )
    return outcome


def done_and_stored(run: FineTuning, database: Database) -> Outcome | None:
    """The outcome of a run that was done before and is stored as that: nothing is left to do, not
    even to find its device. Raises ``InputError`` as ``FineTuning.check_folder`` does."""
    outcome = run.done_before()
    if outcome is None:
        return None
    row = reading.of_folder(database, str(run.folder.path.resolve()), run.settings.to_plain())
    return outcome if row is not None and row.state == RunState.DONE.value else None


@contextlib.contextmanager
def stop_on(
    signals: Sequence[signal.Signals], run: FineTuning, told: Callable[[str], None]
) -> Iterator[StopSignals]:
    """The first of these signals during training saves a checkpoint and ends the run. Any other one
    goes to the handler that was in place before."""
    stop = StopSignals()

    def asked(number: int, frame: Any) -> None:
        trains = run.folder.read_state().get("state") == RunState.TRAINING.value
        if stop.received or not trains:
            stop.forward(number)
        stop.received.append(number)
        run.request_stop()
        told(STOPPING)

    stop.before = {number: signal.signal(number, asked) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in stop.before.items():
            signal.signal(number, handler)


def folder_of_job(root: Path, finetuning_id: str, name: str | None, begun_in: str) -> Path:
    """The folder in which a job runs, made if it is not there. ``begun_in`` is the one in which an
    earlier attempt began, if any.

    Raises ``InputError`` where the folder of the name is in use, or cannot be made.
    """
    folder = (root / (name or finetuning_id)).resolve()
    try:
        root.mkdir(parents=True, exist_ok=True)
        if str(folder) != begun_in:
            folder.mkdir(exist_ok=name is None)
    except FileExistsError:
        raise InputError(
            f"The fine-tuning cannot be named {name}: there is a run of that name on the runner's "
            "host. Choose another name, or leave it out."
        ) from None
    except OSError as error:
        raise InputError(
            f"The folder of the run cannot be made in {root}: {error.strerror}. The operator of "
            "the service can set another one in tonnage.toml: [finetuning] output"
        ) from error
    return folder


def _opener(
    settings: Settings, target: Target, database: Database, headroom: float, watch: RunWatch
) -> OpenMeasurer:
    """What ``FineTuning.open_measurer`` takes: probes by the target, kept in the database."""

    @contextlib.contextmanager
    def opened(run: FineTuning, rows: int) -> Iterator[Measurer]:
        session = MeasuringSession.open(
            settings,
            workload(run.folder.settings, run.folder.path, target.facts.device),
            target,
            headroom,
            watch.worker,
            effective_batch_size=min(run.settings.training.effective_batch_size, rows),
        )
        yield StoredMeasurer(
            session, database, rows, on_ask=watch.asked, on_measurement=watch.measured
        )

    return opened


def measured_text(measurement: Measurement) -> str:
    """``4 rows: stable, peak 1.2 GiB``"""
    peak = f", peak {size_text(measurement.peak_bytes)}" if measurement.peak_bytes else ""
    return f"{plural(measurement.batch_size, 'row')}: {measurement.verdict.value}{peak}"
