"""What pages say of a lever that would help, and what was measured of that here.

Nothing is advised without saying that it was refuted here, where it was.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from app.database import Database
from app.database.models.knowledge import EvidenceRow
from app.knowledge import repository
from app.knowledge.library import library_of
from app.settings import Settings
from knowledge.claims import Claim, Quantity
from optimizer.known import HeuristicOf

ABOUT_MEMORY = (Quantity.PEAK_MEMORY, Quantity.ACTIVATION_MEMORY, Quantity.MAX_BATCH)


@dataclass(frozen=True)
class Heuristic:
    """A claim that a lever saves memory, and what was measured of it on the device."""

    lever: str
    """``gradient_checkpointing=true``."""
    claim: Claim
    evidence: EvidenceRow | None

    @property
    def sentence(self) -> str:
        """Who claims what, and what it came to here."""
        page = self.claim.page
        if self.evidence is None:
            return (
                f"According to {page}: {_begun(self.claim.text)}. This was not measured here; to "
                f"measure it: tonnage knowledge measure {page}"
            )
        found = {"undecided": "could not be decided"}.get(
            self.evidence.verdict, f"was {self.evidence.verdict}"
        )
        where = f"here on {self.evidence.workload}, {self.evidence.measured_at:%Y-%m-%d}"
        return f"{page} {found} {where}: {self.evidence.reason}"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as an answer carries it."""
        return {
            "lever": self.lever,
            "page": self.claim.page,
            "claim": self.claim.full_id,
            "evidence_id": self.evidence.id if self.evidence is not None else None,
            "verdict": self.evidence.verdict if self.evidence is not None else None,
            "sentence": self.sentence,
        }


def heuristics(
    session: Session,
    settings: Settings,
    levers: Collection[tuple[str, Any]],
    *,
    fingerprint: str,
    workload: str,
) -> list[Heuristic]:
    """What is claimed of setting each of these levers to its value, as far as it is about memory.

    Of a claim that was measured on the device (``fingerprint``), the newest evidence counts, that
    on the same workload before that on others. Where a page has claims that were measured, its
    others are left out.
    """
    found: list[Heuristic] = []
    claims = [claim for claim in library_of(settings).claims().values() if _is_about_memory(claim)]
    for lever, value in levers:
        fitting = [c for c in claims if c.lever == lever and _text(c.after) == _text(value)]
        ids = [claim.full_id for claim in fitting]
        rows = repository.newest(session, claims=ids, fingerprint=fingerprint) if ids else []
        known = [
            Heuristic(f"{lever}={_text(value)}", claim, _best(rows, claim, workload))
            for claim in fitting
        ]
        found += _worth_saying(known)
    return found


def heuristic_of(
    database: Database, settings: Settings, *, fingerprint: str, workload: str
) -> HeuristicOf:
    """For the optimizer's advice: ``heuristics`` of one lever, as sentences."""

    def say(lever: str, value: Any) -> str:
        with database.read() as session:
            known = heuristics(
                session, settings, [(lever, value)], fingerprint=fingerprint, workload=workload
            )
        return " ".join(each.sentence for each in known)

    return say


def _is_about_memory(claim: Claim) -> bool:
    return claim.quantity in ABOUT_MEMORY


def _best(rows: Sequence[EvidenceRow], claim: Claim, workload: str) -> EvidenceRow | None:
    own = [row for row in rows if row.claim == claim.full_id]
    return next((row for row in own if row.workload == workload), own[0] if own else None)


def _worth_saying(known: Sequence[Heuristic]) -> list[Heuristic]:
    """Of each page what was measured; its first claim where nothing was."""
    found: list[Heuristic] = []
    for page in dict.fromkeys(each.claim.page for each in known):
        own = [each for each in known if each.claim.page == page]
        found += [each for each in own if each.evidence is not None] or own[:1]
    return found


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _begun(text: str) -> str:
    """A sentence as the second half of another one; a name at its beginning stays as it is."""
    first = text.split(maxsplit=1)[0] if text else ""
    text = text[:1].lower() + text[1:] if first[1:].islower() or len(first) == 1 else text
    return text.rstrip(".")
