"""Checks, as the HTTP interface shows them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from app.checks.records import CheckRecord, CheckVerdict
from app.service.fields import Key, WorkloadText
from app.service.paging import NamedPageQuery


class CheckOut(BaseModel):
    """An answer that was given to "will this planned run fit and finish in time here?"."""

    model_config = ConfigDict(
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
        }
    )

    id: str
    verdict: str = Field(
        description="`fits`, `does_not_fit`, `too_slow`, `unknown` or `stale` (what it would be "
        "compared with no longer holds)."
    )
    workload: str
    device: str
    fingerprint: str
    recommendation_id: str | None = Field(
        description="What the plan was compared with; null when there was nothing."
    )
    document: dict[str, Any] = Field(description="The whole answer.")
    created_at: datetime

    @classmethod
    def of(cls, record: CheckRecord) -> CheckOut:
        return cls(**asdict(record))


class CheckQuery(NamedPageQuery):
    workload: Annotated[WorkloadText | None, Field(description="Only of this workload.")] = None
    verdict: Annotated[CheckVerdict | None, Field(description="Only with this answer.")] = None
    fingerprint: Annotated[Key | None, Field(description="Only on this device.")] = None
