"""Advice names the heuristic, its claim and what was measured here; a refuted one says so."""

from __future__ import annotations

import pytest

from app.knowledge import service
from app.knowledge.advice import heuristic_of, heuristics
from app.settings import load_settings
from optimizer.ablation import ClaimVerdict
from tests.app.factories import evidence
from tests.knowledge import pages

PAGE = "Heuristic:Gradient_Checkpointing"
LEVER = ("gradient_checkpointing", True)
HERE = {"fingerprint": "f" * 16, "workload": "transformer"}


@pytest.fixture
def known(database, settings):
    """What is known of checkpointing on a page of the user."""

    def look(**where: str):
        with database.read() as session:
            found = heuristics(session, settings, [LEVER], **{**HERE, **where})
        return [each for each in found if each.claim.page == PAGE]

    return look


def test_a_claim_that_was_not_measured_says_so(known):
    (found,) = known()
    assert found.to_dict() == {
        "lever": "gradient_checkpointing=true",
        "page": PAGE,
        "claim": f"{PAGE}#activation-memory",
        "evidence_id": None,
        "verdict": None,
        "sentence": found.sentence,
    }
    assert "50-60 % less activation memory" in found.sentence
    assert "not measured here" in found.sentence and "tonnage knowledge measure" in found.sentence


@pytest.mark.parametrize("verdict", ["confirmed", "refuted"])
def test_what_was_measured_here_is_said_with_its_verdict_and_figure(known, database, verdict):
    row = service.record(database, evidence(verdict=ClaimVerdict(verdict)))
    (found,) = known()
    assert (found.to_dict()["verdict"], found.to_dict()["evidence_id"]) == (verdict, row.id)
    assert f"was {verdict} here on transformer" in found.sentence
    assert "41 % (38–44) less" in found.sentence


def test_the_same_workload_counts_before_a_newer_one_of_another(known, database):
    same = service.record(database, evidence())
    other = service.record(database, evidence(workload="causal-lm"))
    assert [each.evidence.id for each in known()] == [same.id]
    assert [each.evidence.id for each in known(workload="train.py:Net")] == [other.id]


def test_evidence_of_another_device_is_not_of_here(known, database):
    service.record(database, evidence(fingerprint="e" * 16))
    assert [each.evidence for each in known()] == [None]


def test_other_levers_values_and_quantities_are_not_meant(database, settings):
    with database.read() as session:
        for lever in (("gradient_checkpointing", False), ("precision", "int1")):
            found = heuristics(session, settings, [lever], **HERE)
            assert [each for each in found if each.claim.page == PAGE] == []


def test_the_optimizer_is_told_in_sentences(database, tmp_path):
    files = {"heuristics/Gradient_Checkpointing.md": pages.HEURISTIC}
    folder = pages.write(tmp_path / "one", files)
    settings = load_settings(environ={}, overrides={"knowledge": {"paths": [str(folder)]}})
    service.record(database, evidence())
    say = heuristic_of(database, settings, **HERE)
    assert f"{PAGE} was refuted here on transformer" in say(*LEVER)
    assert say("no_such_lever", True) == ""
