"""Which claims are measured on which workloads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from knowledge.claim_comments import read_claims
from knowledge.claims import Claim
from knowledge.markup import regions
from optimizer.ablation import At, Quantity, Question
from optimizer.ablation.defaults import DefaultWorkload, default_workloads

PAGES = Path(__file__).resolve().parents[2] / "knowledge" / "pages"
WORKLOADS_EACH = 2


@dataclass(frozen=True)
class Case:
    """A claim on one workload."""

    question: Question
    on: DefaultWorkload

    @property
    def identity(self) -> str:
        return f"{self.question.claim} @ {self.on.name}"


def built_in_claims(folder: Path = PAGES) -> list[Claim]:
    """The claims of the pages, read without what parses whole pages: this runs on bare machines."""
    found: list[Claim] = []
    for file in sorted(folder.glob("heuristics/*.md")):
        text = file.read_text(encoding="utf-8")
        found += read_claims(text, regions(text), f"Heuristic:{file.stem}")[0]
    return found


def question_of(claim: Claim) -> Question:
    """A claim as a question that names at most the workload that its page names."""
    before, after = claim.changes
    return Question(
        claim=claim.full_id,
        page=claim.page,
        text=claim.text,
        before=before,
        after=after,
        quantity=Quantity(claim.quantity.value),
        low=claim.low,
        high=claim.high,
        workload=claim.workload or "",
        at=At(claim.at.value),
        config=dict(claim.config),
        devices=claim.devices,
    )


def cases(claims: Iterable[Claim], kind: str, workloads: int = WORKLOADS_EACH) -> Iterator[Case]:
    """Each claim that is made of this kind of device, on its default workloads, at most this
    many."""
    for claim in claims:
        if claim.devices and kind not in claim.devices:
            continue
        question = question_of(claim)
        for on in default_workloads(question, kind)[:workloads]:
            yield Case(on.ask(question), on)
