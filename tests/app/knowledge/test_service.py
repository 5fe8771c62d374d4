"""Evidence is kept, and the newest answer to each question is found."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from app.errors import NotFound
from app.knowledge import service
from optimizer.ablation import ClaimVerdict
from tests.app.factories import evidence

PAGE = "Heuristic:Gradient_Checkpointing"


def test_evidence_comes_back_as_it_was_measured(database):
    made = evidence(notes=["a note"], high=None)
    row = service.get(database, service.record(database, made).id)
    assert service.evidence_of(row) == made
    assert (row.page, row.claim) == (PAGE, f"{PAGE}#activation-memory")
    assert (row.verdict, row.workload, row.device) == ("refuted", "transformer", "cpu")
    assert row.measured_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)


def test_unknown_evidence_is_not_found(database):
    with pytest.raises(NotFound, match="evi_none"):
        service.get(database, "evi_none")


def test_the_newest_answer_to_a_question_counts_and_the_older_stay(database):
    first = service.record(database, evidence())
    second = service.record(database, evidence(verdict=ClaimVerdict.UNDECIDED, low=-0.6))
    assert [row.id for row in service.newest(database)] == [second.id]
    assert [row.id for row in service.page(database, limit=9)] == [second.id, first.id]


@pytest.mark.parametrize(
    "changes",
    [
        {"claim": "step-time"},
        {"workload": "causal-lm"},
        {"fingerprint": "e" * 16},
        {"config": {"layers": 3}},
        {"options": {"length": 8}},
        {"after": {"gradient_checkpointing": "selective"}},
    ],
)
def test_another_claim_workload_device_or_config_is_another_question(database, changes):
    rows = [service.record(database, evidence()), service.record(database, evidence(**changes))]
    assert {row.id for row in service.newest(database)} == {row.id for row in rows}


def test_evidence_is_found_by_page_claim_and_device(database):
    here = service.record(database, evidence())
    other = service.record(database, evidence("overhead", page="Heuristic:DoRA"))
    there = service.record(database, evidence(fingerprint="e" * 16))
    assert [row.id for row in service.newest(database, page="Heuristic:DoRA")] == [other.id]
    found = service.newest(database, claims=[here.claim], fingerprint="f" * 16)
    assert [row.id for row in found] == [here.id]
    listed = service.page(database, claim=here.claim, limit=9)
    assert [row.id for row in listed] == [there.id, here.id]
    assert service.newest(database, claims=[]) == []
