"""Pages, claims and evidence, as the HTTP interface shows them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from app.http.fields import Key, WorkloadText
from app.http.paging import DEFAULT_LIMIT, MAX_LIMIT, NamedPageQuery, cursor_among
from app.knowledge.request import PageName
from knowledge.claims import Claim
from knowledge.model import PageType
from optimizer.ablation.evidence import ClaimVerdict

if TYPE_CHECKING:
    from app.database.models.knowledge import EvidenceRow

DEEPEST = 4

SUMMARY: JsonDict = {
    "name": "Heuristic:Gradient_Checkpointing",
    "type": "heuristic",
    "overview": "Recompute activations in the backward pass instead of keeping them.",
    "domains": ["Training"],
    "claims": 2,
    "is_builtin": True,
}
EVIDENCE: JsonDict = {
    "id": "evi_1k0rr48nvttvb71401qp",
    "page": "Heuristic:Gradient_Checkpointing",
    "claim": "Heuristic:Gradient_Checkpointing#activation-memory",
    "text": "50-60 % less activation memory",
    "quantity": "activation_memory",
    "at": "same_batch",
    "before": {"gradient_checkpointing": False},
    "after": {"gradient_checkpointing": True},
    "claimed_low": -0.6,
    "claimed_high": -0.5,
    "verdict": "refuted",
    "reason": "Claimed: 50–60 % less activation memory. Here: 41 % (38–44) less.",
    "ending": "measured",
    "change": -0.41,
    "low": -0.44,
    "high": -0.38,
    "before_value": 419430400.0,
    "after_value": 247463936.0,
    "before_batch": 32,
    "after_batch": 32,
    "pairs": 6,
    "probes": 14,
    "disturbed": 0,
    "wall_s": 61.5,
    "workload": "transformer",
    "options": {},
    "config": {"layers": 4},
    "device": "cuda:0",
    "fingerprint": "577c5139c3e13263",
    "measured_at": "2026-01-02T03:04:05Z",
    "tonnage": "0.1.0",
    "torch": "2.13.0",
    "notes": [],
}
CLAIM: JsonDict = {
    "id": "Heuristic:Gradient_Checkpointing#activation-memory",
    "text": "50-60 % less activation memory",
    "lever": "gradient_checkpointing",
    "before": False,
    "after": True,
    "quantity": "activation_memory",
    "low": -0.6,
    "high": -0.5,
    "at": "same_batch",
    "workload": None,
    "config": {},
    "devices": [],
    "source": "https://example.org/paper",
}


class PageSummaryOut(BaseModel):
    """A knowledge page in short."""

    model_config = ConfigDict(json_schema_extra={"examples": [SUMMARY]})

    name: str = Field(description="Full name, with its type.")
    type: PageType
    overview: str
    domains: list[str]
    claims: int = Field(description="How many claims it makes that can be measured.")
    is_builtin: bool = Field(description="False for a page of a folder of the operator.")


class PageListOut(BaseModel):
    """A part of the pages: by name, or the best first where words are searched for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"items": [SUMMARY], "next_cursor": None}]}
    )

    items: list[PageSummaryOut]
    next_cursor: str | None = Field(
        description="Send it as `cursor` to get the next page; null on the last page."
    )


class EvidenceOut(BaseModel):
    """What one claim came to, measured on one workload and device."""

    model_config = ConfigDict(json_schema_extra={"examples": [EVIDENCE]})

    id: str
    page: str
    claim: str = Field(description="Full id of the claim.")
    text: str
    quantity: str
    at: str = Field(description="`same_batch`, or `each_maximum`: each side at its own.")
    before: dict[str, Any] = Field(description="Levers before the change.")
    after: dict[str, Any]
    claimed_low: float | None = Field(description="Smallest relative change that is claimed.")
    claimed_high: float | None
    verdict: ClaimVerdict
    reason: str
    ending: str = Field(description="`measured`, or why nothing could be measured.")
    change: float | None = Field(description="Relative change that was measured; -0.4: 40 % less.")
    low: float | None = Field(description="Lower bound of its 95 % interval.")
    high: float | None
    before_value: float | None = Field(description="Of the quantity, in its unit.")
    after_value: float | None
    before_batch: int | None
    after_batch: int | None
    pairs: int = Field(description="Pairs of probes that the interval rests on.")
    probes: int
    disturbed: int = Field(description="Paired probes that something disturbed.")
    wall_s: float
    workload: str
    options: dict[str, Any]
    config: dict[str, Any]
    device: str
    fingerprint: str
    measured_at: datetime
    tonnage: str
    torch: str
    notes: list[str]

    @classmethod
    def of(cls, row: EvidenceRow) -> EvidenceOut:
        known = {name: row.document.get(name) for name in cls.model_fields if name != "id"}
        return cls.model_validate({**known, "id": row.id, "measured_at": row.measured_at})


class ClaimOut(BaseModel):
    """What a page claims, and what was measured of it here."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**CLAIM, "evidence": [EVIDENCE]}]})

    id: str = Field(description="Full id.")
    text: str
    lever: str = Field(description="What is changed; several names are joined by `+`.")
    before: Any
    after: Any
    quantity: str
    low: float | None = Field(description="Smallest relative change that is claimed.")
    high: float | None
    at: str
    workload: str | None = Field(description="What it is measured on; null for the default.")
    config: dict[str, Any]
    devices: list[str] = Field(description="Kinds of device that it is said of; empty for all.")
    source: str
    evidence: list[EvidenceOut] = Field(
        description="The newest of each workload and device, newest first."
    )

    @classmethod
    def of(cls, claim: Claim, rows: list[EvidenceRow]) -> ClaimOut:
        names = ("text", "lever", "before", "after", "low", "high", "workload", "source")
        return cls(
            id=claim.full_id,
            quantity=str(claim.quantity),
            at=str(claim.at),
            config=dict(claim.config),
            devices=list(claim.devices),
            evidence=[EvidenceOut.of(row) for row in rows],
            **{name: getattr(claim, name) for name in names},
        )


class SourceOut(BaseModel):
    """Where the knowledge of a page comes from."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [{"type": "Paper", "title": "A paper", "url": "https://example.org/paper"}]
        },
    )

    type: str
    title: str
    url: str


class LinkOut(BaseModel):
    """A link from one page to another."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "source": "Workflow:LoRA_Fine_Tuning",
                    "kind": "uses_heuristic",
                    "target": "Heuristic:Gradient_Checkpointing",
                }
            ]
        }
    )

    source: str = Field(description="Full name of the page with the link.")
    kind: str
    target: str = Field(description="Full name; there may be no such page.")


class PageDetail(PageSummaryOut):
    """One page."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **SUMMARY,
                    "text": "== Overview ==\n…",
                    "sources": [],
                    "last_updated": "2026-01-02T03:04:00Z",
                    "links": [],
                    "measurable": [{**CLAIM, "evidence": []}],
                }
            ]
        }
    )

    text: str = Field(description="As written, in MediaWiki's markup.")
    sources: list[SourceOut]
    last_updated: datetime | None
    links: list[LinkOut]
    measurable: list[ClaimOut] = Field(description="Its claims, with what was measured here.")


class NodeOut(BaseModel):
    """A page in the graph."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": SUMMARY["name"], "type": "heuristic", "exists": True},
            ]
        }
    )

    name: str
    type: str = Field(description="As links write it, which may be a type that does not exist.")
    exists: bool = Field(description="False for what a link names and nobody has written.")


class GraphOut(BaseModel):
    """Pages and the links between them."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"nodes": [], "edges": []}]})

    nodes: list[NodeOut]
    edges: list[LinkOut]


FULL_NAME = rf"^({'|'.join(each.namespace for each in PageType)}):[^\x00-\x1f\x7f]+$"
"""Of a page: what its list is sorted by."""


class PagesQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: Annotated[PageType | None, Field(description="Only pages of this type.")] = None
    q: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=200,
            pattern=r"^[^\x00-\x1f\x7f]+$",
            description="Words that all occur in the page.",
        ),
    ] = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT, description="Pages at once.")] = DEFAULT_LIMIT
    cursor: Annotated[
        str | None,
        Field(
            max_length=255,
            pattern=FULL_NAME,
            description="The `next_cursor` of the previous page, unchanged; only without `q`.",
        ),
    ] = None


class GraphQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    page: Annotated[
        PageName | None, Field(description="Only what is near this page. Default: everything.")
    ] = None
    depth: Annotated[
        int, Field(ge=1, le=DEEPEST, description="Links between the page and what is shown.")
    ] = 1


class EvidenceQuery(NamedPageQuery):
    cursor: str | None = cursor_among("evi")
    page: Annotated[PageName | None, Field(description="Only of this page (full name).")] = None
    claim: Annotated[WorkloadText | None, Field(description="Only of this claim (full id).")] = None
    workload: Annotated[WorkloadText | None, Field(description="Only on this workload.")] = None
    fingerprint: Annotated[Key | None, Field(description="Only of this device.")] = None
    verdict: Annotated[ClaimVerdict | None, Field(description="Only with this verdict.")] = None
