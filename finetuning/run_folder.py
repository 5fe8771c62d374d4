"""The folder of a run: what lies where, and in which state it is. Standard library only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from probes.errors import InputError

BASELINE = "baseline"
"""Folder in a run's folder: the evaluation of the model that is compared with the run's."""


class RunState(str, Enum):
    """How far a run has come."""

    PREPARING = "preparing"
    FITTING = "fitting"
    TRAINING = "training"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more happens unless somebody resumes the run."""
        return self in (RunState.DONE, RunState.FAILED, RunState.STOPPED)


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run."""

    path: Path

    @property
    def settings(self) -> Path:
        return self.path / "finetuning.yaml"

    @property
    def fitted_settings(self) -> Path:
        """The settings with what the fit changed: those that train."""
        return self.path / "fitted.yaml"

    @property
    def sources(self) -> Path:
        return self.path / "sources.json"

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def fit(self) -> Path:
        return self.path / "fit.json"

    @property
    def state(self) -> Path:
        return self.path / "state.json"

    @property
    def progress(self) -> Path:
        return self.path / "progress.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def model(self) -> Path:
        return self.path / "model"

    @property
    def stop(self) -> Path:
        return self.path / "stop"

    @property
    def evaluation(self) -> Path:
        return self.path / "evaluation"

    @property
    def baseline(self) -> RunFolder:
        """Where the model that is evaluated beside this run keeps its evaluation."""
        return RunFolder(self.path / BASELINE)

    def check_exists(self) -> None:
        """Raise ``InputError`` unless this is the folder of a run."""
        if not self.settings.is_file():
            raise InputError(
                f"{self.path} is not the folder of a fine-tuning run: it has no "
                f"{self.settings.name}. Give the folder that was named with --output."
            )

    @property
    def has_rows(self) -> bool:
        """Whether data is prepared in here."""
        return self.data.exists()

    @property
    def is_free(self) -> bool:
        """Whether the run in here has ended before anything was fitted or trained, so that another
        one may take its place."""
        state = self.read_state().get("state")
        if state is None or not RunState(state).is_terminal:
            return False
        fitted = (read_json(self.fit) or {}).get("fits", False)
        trained = (self.progress, self.checkpoints, self.model, self.evaluation)
        return not fitted and not any(path.exists() for path in trained)

    def check_trained(self) -> None:
        """Raise ``InputError`` unless this is the folder of a run that has a model."""
        self.check_exists()
        if self.model.is_dir():
            return
        if self.read_state().get("refused"):
            raise InputError(
                f"{self.path} has no trained model yet: its settings or data were refused. Correct "
                f"them, and train it with: tonnage finetune run … --output {self.path}"
            )
        raise InputError(
            f"{self.path} has no trained model yet. Finish the training first: "
            f"tonnage finetune resume {self.path}"
        )

    def read_state(self) -> dict[str, Any]:
        """What ``write_state`` wrote last; empty where nothing was."""
        return read_json(self.state) or {}

    def write_state(self, state: RunState, **facts: Any) -> None:
        """Replace the state; a reader never sees half of it."""
        write_json(self.state, {"state": state.value, **facts})

    def events(self) -> list[dict[str, Any]]:
        """The logged events of training, oldest first."""
        if not self.progress.is_file():
            return []
        events = []
        for line in self.progress.read_text(encoding="utf-8").splitlines():
            try:
                events.append(json.loads(line))
            except ValueError:
                continue  # cut off by a kill
        return events


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON document that appears complete or not at all."""
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """A JSON document, or none where there is none that can be read."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None
