"""What the HTTP interface shows of every job."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field


class JobTimes(BaseModel):
    """How far a job is, by the clock."""

    cancel_requested: bool
    wall_s: float = Field(description="Time spent running, in all attempts that have ended.")
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
