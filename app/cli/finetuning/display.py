"""Progress of a fine-tuning on stderr: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Mapping
from typing import Any

from app.cli.context import verbosity
from finetuning.run import Outcome
from finetuning.run_folder import RunState
from probes.formatting import duration_text, size_text

log = logging.getLogger(__name__)

PLAIN_EVERY_S = 10.0
"""Without a terminal, training says at most this often how far it is."""


class FineTuningDisplay:
    """Takes the events of ``finetuning.run.FineTuning``. Use it as a context manager."""

    def __init__(self) -> None:
        self.live = sys.stderr.isatty() and verbosity() >= 0
        self._bar: Any = None
        self._task: Any = None
        self._phase = ""
        self._said_s = 0.0

    def __enter__(self) -> FineTuningDisplay:
        if self.live:
            from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as Bar

            from app.cli.output import stderr

            self._bar = Bar(
                SpinnerColumn(),
                BarColumn(bar_width=20),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
                console=stderr(),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def event(self, event: Mapping[str, Any]) -> None:
        """Show an event."""
        phase = str(event.get("phase", ""))
        if phase == "train" and "of" in event and ("loss" in event or "eval_loss" in event):
            self._training(event)
        elif phase == "prepared":
            rows = ", ".join(f"{count:,} {name}" for name, count in event["rows"].items())
            self.line(f"Data: {rows} rows" + (" (prepared before)." if event["reused"] else "."))
            for note in event.get("notes", []):
                self.line(f"  {note}")
        elif phase == "fitted":
            for sentence in event["sentences"]:
                self.line(sentence)
        elif phase == "fit":
            self.line(str(event["line"]))
        elif phase == "resumed":
            self.line(f"Continuing after step {event['step']}.")
        elif phase == "preparing" and event.get("of"):
            self._doing(f"{event.get('part', 'preparing')} data", event["step"], event["of"])
        elif phase in _DOING:
            self._doing(_DOING[phase])

    def line(self, text: str) -> None:
        """A line that stays."""
        log.info("%s", text)
        if verbosity() < -1:
            return
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def waiting(self, holder: str, waited_s: float) -> None:
        """Somebody else has the device."""
        self._doing(f"waiting for {holder}")

    def _doing(self, what: str, done: int = 0, total: int = 0) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=what, completed=done, total=total or None)
        elif what != self._phase and verbosity() >= 0:
            print(f"{what} ...", file=sys.stderr, flush=True)
        self._phase = what

    def _training(self, event: Mapping[str, Any]) -> None:
        text = training_text(event)
        if self._bar is not None:
            self._bar.update(
                self._task, description=text, completed=event["step"], total=event["of"]
            )
        ends = event["step"] >= event["of"]
        due = time.monotonic() - self._said_s >= PLAIN_EVERY_S
        if "eval_loss" in event or (self._bar is None and (due or ends)):
            self._said_s = time.monotonic()
            self.line(text)


_DOING = {
    "preparing": "preparing data",
    "fitting": "fitting the settings to the device",
    "import": "loading libraries",
    "build": "loading the model",
    "training": "starting to train",
    "evaluate": "evaluating",
}


def training_text(event: Mapping[str, Any]) -> str:
    """``step 40/120 · loss 2.31 · 5,120 tokens/s · peak 1.2 GiB · 3 min left``"""
    parts = [f"step {event['step']}/{event['of']}"]
    if "loss" in event:
        parts.append(f"loss {event['loss']:.4g}")
    if "eval_loss" in event:
        parts.append(f"eval_loss {event['eval_loss']:.4g}")
    if "tokens_per_s" in event:
        parts.append(f"{event['tokens_per_s']:,.0f} tokens/s")
    if event.get("peak_bytes"):
        parts.append(f"peak {size_text(event['peak_bytes'])}")
    if event.get("left_s"):
        parts.append(f"{duration_text(event['left_s'])} left")
    return " · ".join(parts)


def outcome_lines(outcome: Outcome) -> list[str]:
    """What a run ended in, for a person."""
    facts = outcome.facts or {}
    if outcome.state is not RunState.DONE:
        return [f"{outcome.state.value.capitalize()}: {outcome.reason}"]
    if "step" not in facts:
        return [outcome.reason]
    lines = [f"Trained {facts['step']} steps. The model is in {outcome.folder / 'model'}."]
    if facts.get("eval_loss") is not None:
        lines.append(f"Best eval_loss: {facts['eval_loss']:.4g}")
    predicted, measured = facts.get("predicted_peak_bytes"), facts.get("peak_bytes")
    if predicted and measured:
        error = (measured - predicted) / predicted
        lines.append(
            f"Peak memory: {size_text(measured)}, predicted {size_text(predicted)} ({error:+.1%})."
        )
    predicted_s, measured_s = facts.get("predicted_step_s"), facts.get("step_s")
    if predicted_s and measured_s:
        error = (measured_s - predicted_s) / predicted_s
        lines.append(
            f"Step time: {duration_text(measured_s)}, predicted {duration_text(predicted_s)} "
            f"({error:+.1%})."
        )
    lines.append(f"Evaluate it: tonnage finetune evaluate {outcome.folder}")
    return lines
