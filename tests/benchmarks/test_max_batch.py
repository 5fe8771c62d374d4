"""The benchmark's own logic: the scan finds the edge, and the summary says who is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.max_batch.cases import CASES, Case
from benchmarks.max_batch.peers.plain import bisection, doubling, origin
from benchmarks.max_batch.records import Search, Survival, Truth, WorkFile
from benchmarks.max_batch.report import Verdict, document, rows, verdicts
from benchmarks.max_batch.truth import scan_edge

CASE = CASES[0]
FLOOR = {"confirming_samples": 300, "failing_samples": 100}


def searched(method: str, found: int | None, samples: int, **values: object) -> Search:
    setting = "own" if method == "tonnage" else "pinned"
    base = Search(CASE.identity, method, setting, found, steps=9, samples=samples, wall_s=1.0)
    return replace(base, **values)  # type: ignore[arg-type]


@pytest.fixture
def work(tmp_path: Path) -> WorkFile:
    work = WorkFile(tmp_path / "folder" / "work.jsonl")
    work.add(Truth(CASE.identity, 1000, {"1000": "stable", "1001": "oom"}, 60.0))
    for batch_size in (980, 990, 1000):
        work.add(Survival(CASE.identity, batch_size, True, ""))
    return work


def verdict(work: WorkFile, case: Case = CASE) -> Verdict:
    return verdicts(work, [case], rows(work, [case]))[0]


@pytest.mark.parametrize("edge", [1, 7, 28, 203, 2263])
@pytest.mark.parametrize("near", [1, 30, 200, 5000])
def test_the_scan_ends_at_the_edge_wherever_it_begins(edge: int, near: int) -> None:
    seen = scan_edge(lambda b: "stable" if b <= edge else "oom", near)
    assert max(b for b, v in seen.items() if v == "stable") == edge
    assert seen[edge + 1] == "oom"
    assert len(seen) < 90


def test_the_scan_sees_a_pass_above_the_first_failure() -> None:
    """A library may choose a leaner algorithm for a larger batch."""
    seen = scan_edge(lambda b: "stable" if b <= 100 or 120 <= b <= 150 else "oom", 98)
    assert max(b for b, v in seen.items() if v == "stable") == 150


def test_a_killed_run_resumes_from_whole_lines(work: WorkFile) -> None:
    work.add(searched("tonnage", 990, 500))
    with work.path.open("a") as file:
        file.write('{"kind": "search", "case": "cut sho')
    again = WorkFile(work.path)
    assert again.searches == work.searches
    assert again.survivals == work.survivals
    assert again.truths == work.truths


def test_a_larger_batch_that_lasted_is_the_truth(work: WorkFile) -> None:
    work.add(Survival(CASE.identity, 1003, True, ""))
    work.add(Survival(CASE.identity, 1010, False, "oom"))
    assert work.largest_stable(CASE) == 1003


def test_right_is_close_lasting_and_not_crashed(work: WorkFile) -> None:
    work.add(Survival(CASE.identity, 985, False, "oom"))
    work.add(Survival(CASE.identity, 512, True, ""))
    for method, found in (("tonnage", 990), ("bisection", 985), ("doubling", 512)):
        work.add(searched(method, found, 100))
    work.add(searched("accelerate", None, 100, crash="SIGSEGV"))
    right = {row.method: row.right for row in rows(work, [CASE])}
    assert right == {"tonnage": True, "bisection": False, "doubling": False, "accelerate": False}


def test_goals_are_measured_against_the_floor_and_the_cheapest_right_peer(work: WorkFile) -> None:
    work.add(searched("tonnage", 990, 500, details=FLOOR))
    work.add(searched("bisection", 1000, 1000))
    work.add(searched("origin", 1000, 5000))
    found = verdict(work)
    assert (found.of_floor, found.of_cheapest_peer) == (1.25, 0.5)
    assert found.search_of_cheapest_peer == 0.2
    assert found.cheapest_peer == "bisection (pinned), 1000"
    assert found.meets_goals
    work.add(searched("bisection", 1000, 900))
    assert not verdict(work).meets_goals


def test_without_any_peer_nothing_is_claimed(work: WorkFile) -> None:
    work.add(searched("tonnage", 990, 500, details=FLOOR))
    assert not verdict(work).meets_goals
    work.add(Survival(CASE.identity, 512, True, ""))
    work.add(searched("doubling", 512, 100))
    assert (verdict(work).cheapest_peer, verdict(work).meets_goals) == ("", True)


def test_a_crash_of_ours_misses_the_goals(work: WorkFile) -> None:
    work.add(searched("tonnage", None, 500, crash="SIGKILL"))
    assert not verdict(work).meets_goals


def test_the_document_shows_what_was_measured_and_leaves_out_the_rest(work: WorkFile) -> None:
    work.add(searched("tonnage", 990, 500, details=FLOOR))
    work.add(searched("transformers", None, 70, crash="RuntimeError: a | b"))
    plain, markdown = document(work, CASES, {"torch": "2.13.0"})
    assert list(plain["cases"]) == [CASE.name]
    assert [row["method"] for row in plain["rows"]] == ["tonnage", "transformers"]
    assert "| 0.990 | yes |" in markdown
    assert "RuntimeError: a / b" in markdown


class FakeTrainee:
    """Trains up to a batch size; keeps what it was asked."""

    def __init__(self, edge: int, lasting: int) -> None:
        self.edge, self.lasting = edge, lasting
        self.asked: list[tuple[int, int]] = []

    def train(self, batch_size: int, steps: int) -> None:
        self.asked.append((batch_size, steps))
        if batch_size > (self.edge if steps < 20 else self.lasting):
            raise RuntimeError("can't allocate memory")


@pytest.fixture
def nothing_to_collect(monkeypatch: pytest.MonkeyPatch) -> None:
    """Collecting garbage after each trial takes a second in a process that has run many tests."""
    monkeypatch.setattr("gc.collect", lambda: 0)


def test_plain_methods_find_what_they_are_known_to_find(nothing_to_collect: None) -> None:
    assert doubling(FakeTrainee(300, 300)) == 256  # type: ignore[arg-type]
    assert bisection(FakeTrainee(300, 300)) == 300  # type: ignore[arg-type]
    assert bisection(FakeTrainee(0, 0)) == 0  # type: ignore[arg-type]


def test_the_origin_goes_on_below_an_answer_that_does_not_last(nothing_to_collect: None) -> None:
    trainee = FakeTrainee(300, 280)
    assert origin(trainee) == 280  # type: ignore[arg-type]
    assert trainee.asked[0] == (16, 5)
    assert {steps for _, steps in trainee.asked[trainee.asked.index((300, 20)) :]} == {20}
