"""Progress on stderr: a live bar in a terminal, plain lines everywhere else."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from app.cli.context import verbosity
from app.cli.interruption import Interruption
from optimizer.formatting import config_text, limit_text, rate
from probes.formatting import duration_text, size_text
from probes.measurement import Measurement, Purpose

if TYPE_CHECKING:
    from optimizer.events import Event
    from probes.max_batch import Ask
    from probes.prior import Prior

log = logging.getLogger(__name__)

REMIND_S = 60.0
"""Without a live display, a line says this often that the command is still waiting."""


class ProgressDisplay:
    """Shows what is being measured, the result, and roughly how much time is left.

    Use it as a context manager. ``study`` takes a study's events and ``worker`` a worker's progress
    messages; single probes call ``probe`` and ``measured`` directly.
    """

    def __init__(self) -> None:
        self.live = sys.stderr.isatty() and verbosity() >= 0
        self._began_s = time.monotonic()
        self._bar: Any = None
        self._task: Any = None
        self._doing = ""
        self._reminded: tuple[str, float] | None = None
        self._noted: set[str] = set()
        self._interruption = Interruption()

    def __enter__(self) -> Self:
        self._interruption.__enter__()
        if self.live:
            from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            from app.cli.output import stderr

            self._bar = Bar(
                SpinnerColumn(),
                BarColumn(bar_width=20),
                TextColumn("{task.completed:.0f}/{task.total:.0f}"),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
                console=stderr(),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=1)
        return self

    def __exit__(self, *error: object) -> None:
        self._interruption.__exit__()
        if self._bar is not None:
            self._bar.stop()

    def notes(self, notes: Sequence[str]) -> None:
        """What is to be said of a workload before it is measured."""
        for note in notes:
            self.line(f"Note: {note}")

    def line(self, text: str) -> None:
        """Print one line that stays."""
        log.debug(text)
        if verbosity() != 0:  # quiet, or the log already prints it on the console
            return
        if self._bar is not None:
            self._bar.console.print(text, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def doing(self, text: str, completed: float | None = None, total: float | None = None) -> None:
        """Show the current activity, replacing the one before."""
        self._doing = text
        if self._bar is not None:
            self._bar.update(self._task, description=text, completed=completed, total=total)

    # -- sources of progress -------------------------------------------------------------------

    def worker(self, message: dict[str, Any]) -> None:
        """Show a progress message of a worker; a ``note`` in it stays on the screen."""
        self._interruption.check()
        if note := str(message.get("note", "")):
            about = str(message.get("about", note))
            if about not in self._noted:
                self._noted.add(about)
                self.line(note)
        if self._bar is None:
            return
        phase = message.get("phase", "")
        step = f" step {message['step']}/{message['of']}" if message.get("of") else ""
        self._bar.update(self._task, description=f"{self._doing} · {phase}{step}")

    def waiting(self, in_use: str, waited_s: float) -> None:
        """Show that another process uses the device, and how long this one has waited."""
        self._interruption.check()
        text = f"{in_use}; waiting"
        self.doing(f"{text} · {duration_text(waited_s)}")
        before = self._reminded
        if before is None or before[0] != text:
            self.line(text)
        elif waited_s >= before[1] + REMIND_S:
            self.line(f"{text}, {duration_text(waited_s)} so far")
        else:
            return
        self._reminded = (text, waited_s)

    def probe(self, ask: Ask, where: str = "") -> None:
        expected = ""
        if ask.peak_bytes is not None:
            expected = f", expected peak {size_text(ask.peak_bytes.value)}"
        self.doing(f"{where}batch {ask.batch_size} ({ask.purpose}{expected})")

    def measured(self, measurement: Measurement, where: str = "", reused: bool = False) -> None:
        self.line(where + measurement_line(measurement) + (" [stored]" if reused else ""))

    def study(self, event: Event) -> None:
        """Show an event of a study."""
        where = f"[{event.trial_number + 1}] {config_text(event.config)}: "
        if event.kind == "trial":
            self.doing(where + "starting", event.trials_settled, event.trials_planned)
        elif event.kind == "probe" and event.ask is not None:
            self.probe(event.ask, where)
        elif event.kind in ("measured", "reused") and event.measurement is not None:
            self.measured(event.measurement, where, reused=event.kind == "reused")
        elif event.kind == "settled" and event.trial is not None:
            self.line(where + self._settled(event))
            self.doing("next", event.trials_settled, event.trials_planned)

    def _settled(self, event: Event) -> str:
        trial = event.trial
        assert trial is not None
        if trial.state == "feasible":
            text = (
                f"maximum stable batch {trial.batch_size}, limited by {limit_text(trial.binding)}, "
                f"{rate(trial.throughput_samples_per_s or 0)}"
            )
        else:
            text = f"{trial.state}: {trial.reason}"
        left = event.trials_planned - event.trials_settled
        if left > 0 and event.trials_settled:
            per_trial_s = (time.monotonic() - self._began_s) / event.trials_settled
            text += f" · {left} to go, about {duration_text(left * per_trial_s)}"
        return text


def measurement_line(m: Measurement) -> str:
    """A measurement on one line."""
    text = f"batch {m.batch_size} {m.purpose}: {m.verdict}"
    if m.passed:
        text += f", peak {size_text(m.peak_bytes)}"
        if m.step_time is not None:
            text += f", {m.step_time.mean_s:.3g} s/step"
    else:
        text += f" – {m.reason}"
    if m.tainted:
        why = f": {'; '.join(m.tainted)}" if m.purpose is Purpose.CONFIRM else ""
        text += f" (disturbed{why})"
    return text


def prior_line(prior: Prior) -> str:
    """The memory estimate made before any step ran, or why there is none."""
    if not prior.points:
        return f"no memory estimate before the first step: {prior.reason}"
    batch, peak = prior.points[-1]
    return f"estimate before the first step: {size_text(peak)} at batch {batch}"
