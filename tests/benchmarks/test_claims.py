"""The benchmark of claims: every claim has its cases, and a killed run resumes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.claims.cases import Case, built_in_claims, cases
from benchmarks.claims.records import Record, WorkFile
from benchmarks.claims.report import document, overlap
from knowledge.library import load
from optimizer.ablation import Evidence, run
from tests.optimizer.ablation.scripted import ScriptedBench, question


@pytest.fixture(scope="module")
def evidence() -> Evidence:
    (found,) = run([question(low=0.2, high=0.4)], ScriptedBench(effect=0.3))
    return found


def some_case() -> Case:
    return next(iter(cases(built_in_claims(), "cpu")))


def test_the_claims_are_those_of_the_library() -> None:
    assert {claim.full_id for claim in built_in_claims()} == set(load().claims())


def test_every_claim_made_of_a_cpu_has_two_cases() -> None:
    claims = [c for c in built_in_claims() if not c.devices or "cpu" in c.devices]

    found = [case.question.claim for case in cases(claims, "cpu")]

    assert len(claims) >= 12
    assert {claim.full_id: found.count(claim.full_id) for claim in claims} == {
        claim.full_id: 2 for claim in claims
    }


def test_a_case_has_a_name_of_its_own() -> None:
    names = [case.identity for case in cases(built_in_claims(), "cuda")]

    assert len(names) == len(set(names))


def test_a_run_that_was_killed_resumes_behind_what_it_wrote(
    tmp_path: Path, evidence: Evidence
) -> None:
    file = tmp_path / "cpu.jsonl"
    WorkFile(file).add(Record("a", 1, evidence))
    with file.open("a") as stream:
        stream.write('{"case": "b", "round": 1, "evid')

    resumed = WorkFile(file)

    assert resumed.of("a", 1) == evidence
    assert resumed.of("b", 1) is None
    assert resumed.of("a", 2) is None


@pytest.mark.parametrize(
    ("low", "high", "shares"), [(0.25, 0.35, True), (0.5, 0.6, False), (0.5, None, False)]
)
def test_intervals_overlap_where_they_share_a_value(
    low: float, high: float | None, shares: bool, evidence: Evidence
) -> None:
    assert overlap(evidence, replace(evidence, low=low, high=high)) is shares


def test_the_report_counts_what_was_measured_and_what_was_repeated(
    tmp_path: Path, evidence: Evidence
) -> None:
    work, case = WorkFile(tmp_path / "cpu.jsonl"), some_case()
    work.add(Record(case.identity, 1, evidence))
    work.add(Record(case.identity, 2, replace(evidence, low=0.9, high=1.0)))

    plain, markdown = document([case], work)

    assert (plain["measured"], plain["repeated"], plain["overlapping"]) == (1, 1, 0)
    assert case.on.name in markdown
    assert "30 %" in markdown


def test_what_a_machine_with_an_accelerator_runs_needs_no_parser_of_pages() -> None:
    hidden = "('mwparserfromhell', 'networkx', 'pydantic', 'sqlalchemy', 'scipy', 'optuna')"
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({hidden}))\n"
        "import benchmarks.accelerator, benchmarks.claims.run\n"
        "from benchmarks.claims.cases import built_in_claims, cases\n"
        "print(len(list(cases(built_in_claims(), 'cuda'))))"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert int(ran.stdout) > 20
