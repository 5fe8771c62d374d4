"""Where a study stands, from the queue to its end."""

from __future__ import annotations

from enum import StrEnum


class StudyState(StrEnum):
    """The state of a study, and of the job that runs one. A study of the command line has no job:
    it is never queued, and nobody can cancel it."""

    QUEUED = "queued"
    INTERRUPTED = "interrupted"
    """Its process or its runner ended; the next one resumes it."""
    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_waiting(self) -> bool:
        """Whether a runner may take it."""
        return self in (StudyState.QUEUED, StudyState.INTERRUPTED)

    @property
    def is_terminal(self) -> bool:
        """Whether it stays in this state until somebody asks for it again."""
        return not self.is_waiting and self is not StudyState.RUNNING


WAITING = tuple(state for state in StudyState if state.is_waiting)
TERMINAL = tuple(state for state in StudyState if state.is_terminal)
ACTIVE = tuple(state for state in StudyState if not state.is_terminal)
