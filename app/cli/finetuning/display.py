"""Progress of a fine-tuning on stderr: a live line in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.cli.progress import ProgressDisplay
from app.finetunings.values import error_of
from finetuning.run import Outcome
from finetuning.run_folder import RunState
from probes.formatting import duration_text, plural, size_text
from probes.max_batch import Ask
from probes.measurement import Purpose

PLAIN_EVERY_S = 10.0
"""Without a terminal, training says at most this often how far it is."""


class FineTuningDisplay(ProgressDisplay):
    """Takes the events of ``finetuning.run.FineTuning``. Use it as a context manager."""

    def __init__(self) -> None:
        super().__init__()
        self._said_s = 0.0
        self._begun: set[str] = set()

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
        elif phase == "fitted" and event["fits"]:  # otherwise the end says why
            for sentence in event["sentences"]:
                self.line(sentence)
        elif phase in ("fit", "damaged"):
            self.line(str(event["line"]))
        elif phase == "resumed":
            self.line(f"Continuing after step {event['step']}.")
        elif phase == "preparing" and event.get("of"):
            self.doing(f"{event.get('part', 'preparing')} data", event["step"], event["of"])
        elif phase == "evaluate" and event.get("of"):
            self.doing(f"evaluating {event.get('task', '')}", event["step"], event["of"])
        elif phase in _DOING:
            self.doing(_DOING[phase])
            if phase in _TAKES_LONG and phase not in self._begun and not self.live:
                self._begun.add(phase)
                self.line(f"{_DOING[phase].capitalize()}.")

    def asked(self, ask: Ask) -> None:
        """Show that the fit measures this micro-batch next."""
        self.probe(ask)
        if ask.purpose is Purpose.CONFIRM and not self.live:
            self.line(f"  {plural(ask.batch_size, 'row')}: confirming in a full run")

    def _training(self, event: Mapping[str, Any]) -> None:
        text = training_text(event)
        self.doing(text, event["step"], event["of"])
        ends = event["step"] >= event["of"]
        due = time.monotonic() - self._said_s >= PLAIN_EVERY_S
        if "eval_loss" in event or (not self.live and (due or ends)):
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


_TAKES_LONG = ("preparing", "fitting", "training")
"""Each begins with a process that loads libraries and the model, for seconds in which a terminal
shows a spinner."""


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
    if outcome.as_asked and outcome.state is RunState.STOPPED:
        return [outcome.reason]
    if outcome.state is RunState.STOPPED:
        folder = _from_here(outcome.folder)
        return [outcome.reason, f"Continue with: tonnage finetune resume {folder}"]
    if outcome.state is not RunState.DONE:
        return [f"{outcome.state.value.capitalize()}: {outcome.reason}"]
    if "step" not in facts:
        return [outcome.reason]
    folder = _from_here(outcome.folder)
    ended_early = facts["step"] < (facts.get("steps") or 0)
    steps = (
        f"{facts['step']} of {facts['steps']} steps" if ended_early else f"{facts['step']} steps"
    )
    lines = [f"Trained {steps}. The model is in {folder / 'model'}."]
    if ended_early:
        lines.append("Early stopping ended it: the evaluations had not improved any more.")
    if facts.get("eval_loss") is not None:
        lines.append(f"Best eval_loss: {facts['eval_loss']:.4g}")
    lines += [
        f"{what}: {text(measured)}, predicted {text(predicted)} ({error:+.1%})."
        for what, name, text in (
            ("Peak memory", "peak_bytes", size_text),
            ("Step time", "step_s", duration_text),
        )
        if (measured := facts.get(name)) and (predicted := facts.get(f"predicted_{name}"))
        if (error := error_of(predicted, measured)) is not None
    ]
    lines.append(f"Evaluate it: tonnage finetune evaluate {folder}")
    return lines


def _from_here(folder: Path) -> Path:
    """As it would be typed: relative where it lies in the current folder."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
