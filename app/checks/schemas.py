"""Checks, as the HTTP interface shows them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.checks.plan import CheckVerdict
from app.checks.request import CheckRequest
from app.http.fields import (
    Config,
    Fraction,
    Id,
    Json,
    Key,
    MemoryBudget,
    Number,
    Positive,
    RankCount,
    RequestBody,
    Short,
    Text,
    Whole,
    WorkloadText,
)
from app.http.paging import NamedPageQuery, cursor_among
from app.machine.local_facts import DeviceNow


class CheckOut(BaseModel):
    """An answer that was given to "will this planned run fit and finish in time here?"."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": "chk_1k0rr48nvttvb71401qp",
                    "verdict": "does_not_fit",
                    "workload": "transformer",
                    "device": "cuda:0",
                    "fingerprint": "577c5139c3e13263",
                    "recommendation_id": "rec_1k0rr48nvttvb71401qp",
                    "document": {"batch_size": 512, "reason": "Batch 256 is the largest stable."},
                    "created_at": "2026-01-02T03:04:05Z",
                }
            ]
        },
    )

    id: str
    verdict: CheckVerdict = Field(
        description="`stale`: what it would be compared with is no longer valid."
    )
    workload: str
    device: str
    fingerprint: str
    recommendation_id: str | None = Field(
        description="What the plan was compared with; null when there was nothing."
    )
    document: dict[str, Any] = Field(description="The whole answer.")
    created_at: datetime


class HereIn(RequestBody):
    """The device that the run is planned for, as `tonnage devices --json` shows it."""

    device: Annotated[Short, Field(description="`cuda:0`, …")]
    kind: Annotated[str, Field(pattern="^[a-z]{1,16}$", description="`cpu`, `cuda`, `rocm`, …")]
    name: Short
    fingerprint: Annotated[Key, Field(description="Key of the device's fingerprint.")]
    document: Annotated[Json, Field(description="The fingerprint's groups, to say what changed.")]
    total_bytes: Whole | None = None
    free_bytes: Whole | None = None
    environment: Annotated[
        dict[str, Annotated[str, Field(max_length=1000)]] | None,
        Field(max_length=50, description="Allocator settings and threads; null: not compared."),
    ] = None

    def here(self) -> DeviceNow:
        return DeviceNow(**self.model_dump())


class CheckPost(RequestBody):
    """A planned run. The device is given in full by `here`, or by name or key in `device`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "workload": "transformer",
                    "config": {"layers": 2, "width": 128},
                    "batch_size": 512,
                    "budget": "prototyping",
                    "device": "577c5139c3e13263",
                }
            ]
        }
    )

    batch_size: Positive
    workload: Annotated[
        WorkloadText | None, Field(description="Default: that of the recommendation.")
    ] = None
    config: Annotated[Config, Field(description="What it leaves out is as recommended.")] = Field(
        default_factory=dict
    )
    offered: Annotated[
        Json, Field(description="Other values, of which those that are dimensions are taken.")
    ] = Field(default_factory=dict)
    accumulation: Positive | None = None
    workload_hash: Annotated[
        Key | None,
        Field(description="Hash of its present source; null: not compared."),
    ] = None
    recommendation_id: Annotated[Id | None, Field(description="What the plan was made from.")] = (
        None
    )
    budget: Annotated[Short | None, Field(description="Also: is a cycle in time?")] = None
    time_scale: Annotated[
        Number | None, Field(gt=0, description="Multiplies the times of the budget.")
    ] = None
    memory_budget_bytes: MemoryBudget | None = None
    headroom: Fraction | None = None
    here: HereIn | None = None
    ranks: Annotated[
        RankCount | None,
        Field(
            description="Number of devices that the plan trains on together, if `here` does not "
            "describe a group. The batch size is that of one rank."
        ),
    ] = None
    device: Annotated[
        Short | None, Field(description="A fingerprint's key, or a product's name.")
    ] = None
    accept_brackets: Annotated[
        bool, Field(description="Whether a few steps count as a pass, not only a stability run.")
    ] = False
    source: Annotated[Text, Field(description="Where the plan was written.")] = ""
    notes: Annotated[list[Text], Field(max_length=200)] = Field(default_factory=list)

    def asked(self) -> CheckRequest:
        values = self.model_dump(exclude={"here", "accept_brackets"})
        return CheckRequest(**values, here=self.here.here() if self.here else None)


class CheckQuery(NamedPageQuery):
    cursor: str | None = cursor_among("chk")
    workload: Annotated[WorkloadText | None, Field(description="Only of this workload.")] = None
    verdict: Annotated[CheckVerdict | None, Field(description="Only with this answer.")] = None
    fingerprint: Annotated[Key | None, Field(description="Only on this device.")] = None
