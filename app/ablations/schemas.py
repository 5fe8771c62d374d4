"""Ablations, as the HTTP interface shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.http.fields import WorkloadText
from app.http.paging import NamedPageQuery, cursor_among
from app.jobs.schemas import JobTimes
from app.tuning.state import StudyState
from optimizer.ablation import ClaimVerdict

if TYPE_CHECKING:
    from app.ablations.service import AblationProgress
    from app.jobs.records import Job

EXAMPLE: JsonDict = {
    "id": "abl_1k0rr48nvttvb71401qp",
    "state": "running",
    "page": "Heuristic:Gradient_Checkpointing",
    "claims": ["activation-memory"],
    "workload": "transformer",
    "device": "cuda:0",
    "message": "",
    "cancel_requested": False,
    "wall_s": 0.0,
    "created_at": "2026-01-02T03:04:05Z",
    "updated_at": "2026-01-02T03:04:15Z",
    "started_at": "2026-01-02T03:04:06Z",
    "finished_at": None,
}
ANSWER: JsonDict = {
    "id": "evi_1k0rr48nvttvb71401qp",
    "claim": "Heuristic:Gradient_Checkpointing#activation-memory",
    "verdict": "refuted",
    "reason": "Claimed: 50–60 % less activation memory. Here: 41 % (38–44) less.",
}


class AblationOut(JobTimes):
    """A job that measures claims of a page on one workload."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: str
    state: StudyState
    page: str
    claims: list[str] = Field(description="Ids of the claims; empty for all of the page.")
    workload: str
    device: str | None = Field(description="As asked for; null for the best one of a host.")
    message: str = Field(description="Why it failed, or what it came to.")

    @classmethod
    def of(cls, job: Job) -> AblationOut:
        own = {"page": job.ablation.page, "claims": job.ablation.claims}
        rest = {n: getattr(job, n) for n in cls.model_fields if n not in own and hasattr(job, n)}
        return cls.model_validate({**rest, **own})


class AblationListOut(BaseModel):
    """The jobs that answer a request: one for each workload."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"items": [EXAMPLE]}]})

    items: list[AblationOut]


class AnswerOut(BaseModel):
    """What a claim came to; all of it is in the evidence with this id."""

    model_config = ConfigDict(json_schema_extra={"examples": [ANSWER]})

    id: str
    claim: str
    verdict: ClaimVerdict
    reason: str


class AblationDetail(AblationOut):
    """One ablation, and how far it is."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{**EXAMPLE, "step": "batch 32 on both sides", "evidence": [ANSWER]}]
        }
    )

    step: str = Field(description="What it did last.")
    evidence: list[AnswerOut] = Field(description="What it has come to so far.")

    @classmethod
    def of_progress(cls, found: AblationProgress) -> AblationDetail:
        own = AblationOut.of(found.job).model_dump()
        return cls.model_validate({**own, "step": found.step, "evidence": found.evidence})


class AblationQuery(NamedPageQuery):
    cursor: str | None = cursor_among("abl")
    state: Annotated[StudyState | None, Field(description="Only in this state.")] = None
    workload: Annotated[WorkloadText | None, Field(description="Only on this workload.")] = None
