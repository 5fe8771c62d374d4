"""The job of a fine-tuning, as the HTTP interface shows it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.finetunings.request import EXAMPLE as EXAMPLE_REQUEST
from app.tuning.state import StudyState

if TYPE_CHECKING:
    from app.finetuning_jobs.service import FineTuningProgress

EXAMPLE: JsonDict = {
    "id": "ftn_1k0rr48nvttvb71401qp",
    "state": "running",
    "message": "",
    "doing": "training",
    "request": EXAMPLE_REQUEST,
    "device": "cuda:0",
    "cancel_requested": False,
    "wall_s": 0.0,
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:15Z",
    "started_at": "2026-01-02T03:04:06Z",
    "finished_at": None,
}


class FineTuningJobOut(BaseModel):
    """Where a fine-tuning that was asked for over HTTP stands in the queue."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str = Field(description="The same as that of the fine-tuning.")
    state: StudyState = Field(
        description="`interrupted`: its runner ended, and another one resumes it."
    )
    message: str = Field(description="Why it failed, or what it waits for.")
    doing: str = Field(description="What it did last.")
    request: dict[str, Any] = Field(description="What was asked for.")
    device: str | None = Field(description="As asked for; null for the best one of a host.")
    cancel_requested: bool
    wall_s: float = Field(description="Time spent running, in all attempts that have ended.")
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @classmethod
    def of(cls, found: FineTuningProgress) -> FineTuningJobOut:
        job = found.job
        own = {
            "message": found.waits_for or job.message,
            "doing": found.doing,
            "request": job.asked,
        }
        rest = {name: getattr(job, name) for name in cls.model_fields if name not in own}
        return cls.model_validate({**rest, **own})
