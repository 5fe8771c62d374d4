"""Training runs, as the HTTP interface shows and takes them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.http.fields import (
    ExitStatus,
    Id,
    Json,
    Key,
    Number,
    Positive,
    RequestBody,
    Seconds,
    Short,
    WorkloadText,
)
from app.http.paging import NamedPageQuery, cursor_among
from app.runs.outcome import Outcome

EXAMPLE: JsonDict = {
    "outcome": "finished",
    "exit_status": 0,
    "workload": "transformer",
    "budget": "prototyping",
    "device": "cuda:0",
    "fingerprint": "577c5139c3e13263",
    "recommendation_id": "rec_1k0rr48nvttvb71401qp",
    "batch_size": 96,
    "accumulation": 1,
    "step_time_s": 0.41,
    "wall_s": 5400.0,
    "document": {"config": {"layers": 4}, "expected_step_time_s": 0.4},
}


class RunOut(BaseModel):
    """A training run that was started with a recommendation."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {"id": "trn_1k0rr48nvttvb71401qp", **EXAMPLE, "created_at": "2026-01-02T03:04:05Z"}
            ]
        },
    )

    id: str
    outcome: Outcome
    exit_status: int = Field(description="128 and the signal's number where a signal ended it.")
    workload: str
    budget: str
    device: str
    fingerprint: str
    recommendation_id: str | None = Field(description="Null when that is not stored here.")
    batch_size: int
    accumulation: int
    step_time_s: float | None = Field(description="Median, where the output told it.")
    wall_s: float
    document: dict[str, Any]
    created_at: datetime


class RunPost(RequestBody):
    """How a training run ended: what `tonnage run` reports."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    outcome: Annotated[Outcome, Field(strict=False)]
    exit_status: ExitStatus
    workload: WorkloadText
    budget: Short
    device: Short
    fingerprint: Annotated[Key, Field(description="Fingerprint of the device it ran on.")]
    recommendation_id: Annotated[Id | None, Field(description="What it was started with.")] = None
    batch_size: Positive
    accumulation: Positive = 1
    step_time_s: Seconds | None = None
    wall_s: Annotated[Number, Field(ge=0)]
    document: Json = Field(default_factory=dict)


class RunQuery(NamedPageQuery):
    cursor: str | None = cursor_among("trn")
    workload: Annotated[WorkloadText | None, Field(description="Only of this workload.")] = None
    outcome: Annotated[Outcome | None, Field(description="Only those that ended so.")] = None
    fingerprint: Annotated[Key | None, Field(description="Only on this device.")] = None
    recommendation_id: Annotated[
        Id | None, Field(description="Only those started with this recommendation.")
    ] = None
