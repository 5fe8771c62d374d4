"""Where a fine-tuning stands."""

from __future__ import annotations

from enum import StrEnum


class FineTuningState(StrEnum):
    """The state of a fine-tuning. Evaluating one that is done does not change it back."""

    QUEUED = "queued"
    """It was asked for over HTTP and waits for a runner."""
    PREPARING = "preparing"
    FITTING = "fitting"
    TRAINING = "training"
    EVALUATING = "evaluating"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """Somebody stopped it. Its last checkpoint is kept; ``tonnage finetune resume`` continues."""
    INTERRUPTED = "interrupted"
    """Its process ended without saying so. ``tonnage finetune resume`` continues."""

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more happens unless somebody resumes it. One that was asked for over HTTP
        is resumed by its job if it was interrupted."""
        return self is not FineTuningState.QUEUED and self not in RUNNING


RUNNING = (
    FineTuningState.PREPARING,
    FineTuningState.FITTING,
    FineTuningState.TRAINING,
    FineTuningState.EVALUATING,
)
UNFINISHED = (FineTuningState.FAILED, FineTuningState.STOPPED, FineTuningState.INTERRUPTED)
"""Terminal, and without a model."""
