"""Studies as the HTTP interface, the dashboard and the Python client show them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.http.fields import Short, WorkloadText
from app.http.paging import NamedPageQuery, cursor_among
from app.tuning.request import EXAMPLE as EXAMPLE_REQUEST
from app.tuning.state import StudyState
from optimizer.records import TrialState

EXAMPLE: JsonDict = {
    "id": "st_1k0rr48nvttvb71401qp",
    "state": "running",
    "workload": "transformer",
    "budget": "prototyping",
    "device": "cuda:0",
    "fingerprint": "577c5139c3e13263",
    "message": "",
    "request": EXAMPLE_REQUEST,
    "answered_by": "st_1k0rr48nvttvb71401qp",
    "recommendation_id": None,
    "cancel_requested": False,
    "attempt": 1,
    "devices": [
        {
            "host": "node7",
            "device": "cuda:0",
            "name": "NVIDIA H200",
            "role": "owner",
            "since": "2026-01-02T03:04:07Z",
        }
    ],
    "wall_s": 0.0,
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:07Z",
    "started_at": "2026-01-02T03:04:07Z",
    "finished_at": None,
}


class StudyDeviceOut(BaseModel):
    """A device that works on a study now."""

    host: str
    device: str = Field(examples=["cuda:0"])
    name: str
    role: Literal["owner", "assistant"] = Field(
        description="The owner searches and recommends; an assistant measures for it."
    )
    since: datetime | None


class StudyOut(BaseModel):
    """The search of one budget for a workload on a device, and the job that runs it where there
    is one."""

    model_config = ConfigDict(from_attributes=True, json_schema_extra={"examples": [EXAMPLE]})

    id: str
    state: StudyState = Field(
        description="`interrupted`: its runner ended, and another one resumes it."
    )
    workload: str
    budget: str
    device: str | None = Field(description="Null until a runner has chosen one.")
    fingerprint: str | None
    message: str = Field(
        description="Why it failed, found nothing or was interrupted, or what it waits for: for a "
        "runner, or while it runs for a device that another process uses."
    )
    request: dict[str, Any] | None = Field(
        description="What was asked for; null for a study of the command line."
    )
    answered_by: str | None = Field(
        description="The study that has the trials: this one, or an older one that asked the same."
    )
    recommendation_id: str | None = Field(description="What it ended in.")
    cancel_requested: bool
    attempt: int | None = Field(
        description="How often a runner has taken it: what an earlier attempt still reports is "
        "refused. Null for a study of the command line."
    )
    devices: list[StudyDeviceOut] = Field(
        description="Which devices work on it now, as far as runners have it; see "
        "`devices_at_once` of the request."
    )
    wall_s: float = Field(description="Time spent running, in all attempts that have ended.")
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class TrialOut(BaseModel):
    """One settled configuration of a study."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "number": 0,
                    "config": {"layers": 2, "width": 128},
                    "state": "feasible",
                    "reason": "Batch 96 fits.",
                    "batch_size": 96,
                    "binding": "memory",
                    "throughput_samples_per_s": 72.0,
                    "violation": {"memory": -0.1},
                    "parameters": 269322,
                    "probes": 3,
                    "wall_s": 12.5,
                }
            ]
        },
    )

    number: int
    config: dict[str, Any]
    state: TrialState
    reason: str
    batch_size: int | None
    binding: str | None
    throughput_samples_per_s: float | None
    violation: dict[str, float | None] = Field(
        description="By how much each constraint is missed, relative; zero or less when met."
    )
    parameters: int | None = Field(description="Of the model, where they are known.")
    probes: int
    wall_s: float


class StudyEventOut(BaseModel):
    """The `data` of a server-sent event. The kind is its `event`, the number its `id`."""

    model_config = ConfigDict(from_attributes=True)

    kind: str = Field(examples=["measured"])
    created_at: datetime
    data: dict[str, Any] = Field(description="See docs/jobs.md for what each kind carries.")


class StudyQuery(NamedPageQuery):
    cursor: str | None = cursor_among("st")
    state: Annotated[StudyState | None, Field(description="Only in this state.")] = None
    workload: Annotated[WorkloadText | None, Field(description="Only of this workload.")] = None
    budget: Annotated[Short | None, Field(description="Only of this budget.")] = None
