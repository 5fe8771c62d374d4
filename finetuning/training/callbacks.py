"""What watches a training run: progress, a stop that was asked for, and a last evaluation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

STOP_FILE = "stop"
"""In the run's folder: training saves a checkpoint and ends after the step in progress."""
UNSETTLED_STEPS = 3
"""The first steps of a process compile, allocate and warm up: not part of the mean step time."""


class ProgressLog(TrainerCallback):  # type: ignore[misc]
    """Writes a line per logged event to ``progress.jsonl``, and tells it on.

    ``peak_bytes`` is asked for the most memory in use so far, in bytes.
    """

    def __init__(
        self,
        file: Path,
        peak_bytes: Callable[[], int],
        tell: Callable[[dict[str, Any]], None],
        from_step: int = 0,
    ) -> None:
        self.file = file
        self.peak_bytes = peak_bytes
        self.tell = tell
        self.step_s: list[float] = []
        self._began_s = 0.0
        self._tokens_before = 0.0
        self._logged_s = 0.0
        _drop_after(file, from_step)

    @property
    def settled_step_s(self) -> list[float]:
        """Durations of the optimizer steps, without the first few. Seconds."""
        return self.step_s[UNSETTLED_STEPS:]

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._logged_s = time.perf_counter()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began_s = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.step_s.append(time.perf_counter() - self._began_s)

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        logs = logs or {}
        known = ("loss", "eval_loss", "learning_rate", "grad_norm", "mean_token_accuracy")
        event: dict[str, Any] = {
            "step": state.global_step,
            "of": state.max_steps,
            "epoch": round(float(state.epoch or 0.0), 4),
            **{name: float(logs[name]) for name in known if name in logs},
            "peak_bytes": self.peak_bytes(),
        }
        recent = self.settled_step_s[-50:]
        if recent:
            mean_s = sum(recent) / len(recent)
            event["step_s"] = mean_s
            event["left_s"] = mean_s * (state.max_steps - state.global_step)
        if "num_tokens" in logs and "loss" in logs:
            now_s = time.perf_counter()
            spent_s = now_s - self._logged_s
            if spent_s > 0:
                event["tokens_per_s"] = (float(logs["num_tokens"]) - self._tokens_before) / spent_s
            self._tokens_before, self._logged_s = float(logs["num_tokens"]), now_s
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")
        self.tell(event)


class LastStep(TrainerCallback):  # type: ignore[misc]
    """Evaluates and saves after the last step, whatever the intervals are."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_evaluate = args.eval_strategy != "no"
            control.should_save = True


class StopOnRequest(TrainerCallback):  # type: ignore[misc]
    """Ends training after the step in progress, with a checkpoint, once ``file`` exists."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.stopped = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.file.exists():
            self.stopped = True
            control.should_evaluate = args.eval_strategy != "no"
            control.should_save = True
            control.should_training_stop = True


def _drop_after(file: Path, step: int) -> None:
    """Remove what was logged after ``step``: those steps are trained again."""
    if not file.is_file():
        return
    kept = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # cut off by a kill
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    partial.replace(file)
