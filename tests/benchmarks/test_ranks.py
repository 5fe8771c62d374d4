"""The benchmark of ranks: it sees what is wrong, and what is left; one fault is a real one."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.ranks import accuracy, faults, peers, plan, price
from benchmarks.ranks.leftovers import Watch, end_marked
from benchmarks.ranks.records import WorkFile
from benchmarks.ranks.report import document
from probes.measurement import Measurement, Purpose, RankResult, Verdict


def fault(kind: str, place: str = "forward") -> plan.Fault:
    return plan.Fault(0, kind, ranks=2, rank=1, way="ddp", place=place, step=3)


def measured(verdict: Verdict, rank: int, reason: str = "", phase: str = "train") -> Measurement:
    ranks = [RankResult(n, "cpu", 8, None) for n in (0, 1)]
    return Measurement(
        "w", {}, 8, "cpu:0-1", Purpose.CONFIRM, verdict, reason, phase=phase, ranks=ranks,
        limiting_rank=rank,
    )  # fmt: skip


class TestThePlan:
    def test_it_is_the_same_again_and_has_every_kind(self) -> None:
        chosen = plan.faults(100, seed=1)
        assert chosen == plan.faults(100, seed=1) != plan.faults(100, seed=2)
        assert {each.kind for each in chosen} == set(plan.BY_NAME)
        assert {each.ranks for each in chosen} == {2, 4}
        assert {each.way for each in chosen} == {"ddp", "fsdp"}
        assert all(0 <= each.rank < each.ranks for each in chosen)
        assert len({each.identity for each in chosen}) == 100

    def test_the_right_verdict_on_the_right_rank_is_not_wrong(self) -> None:
        killed = measured(Verdict.CRASH, 1, "died by SIGKILL")
        assert plan.wrong(fault("SIGKILL"), killed) == []

    @pytest.mark.parametrize(
        ("kind", "seen"),
        [
            ("SIGKILL", measured(Verdict.CRASH, 0, "SIGKILL")),
            ("SIGKILL", measured(Verdict.CRASH, 1, "SIGABRT")),
            ("SIGKILL", measured(Verdict.TIMEOUT, 1, "SIGKILL")),
            ("out of memory, forward", measured(Verdict.OOM, 1, phase="build")),
            ("leak", replace(measured(Verdict.LEAK, 1), ranks=[])),
        ],
    )
    def test_another_rank_reason_verdict_phase_or_count_is_wrong(
        self, kind: str, seen: Measurement
    ) -> None:
        assert len(plan.wrong(fault(kind), seen)) == 1


class TestWhatIsLeft:
    def test_processes_ports_and_files_are_seen_and_their_end_too(self, tmp_path: Path) -> None:
        watch = Watch(f"test-{os.getpid()}", tmp_path)
        listen = (
            "import socket, time; s = socket.create_server(('127.0.0.1', 0)); "
            "print(s.getsockname()[1], flush=True); time.sleep(600)"
        )
        started = subprocess.Popen(
            [sys.executable, "-c", listen],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert started.stdout is not None
        port = started.stdout.readline().strip()
        file = tmp_path / "tonnage-ranks-store"
        file.mkdir()
        found = watch.left(workers_may_stay=True)
        assert any(each.startswith(f"process {started.pid}: ") for each in found)
        assert f"process {started.pid} listens on port {port}" in found
        assert f"file {file}" in found
        end_marked(watch.mark)
        started.wait()
        file.rmdir()
        assert watch.wait(workers_may_stay=False)[1] == []

    def test_a_real_fault_is_judged_and_leaves_nothing(self, tmp_path: Path) -> None:
        chosen = fault("raises")
        watch = Watch(f"test-{os.getpid()}-real", tmp_path)
        probers: dict[int, Any] = {}
        try:
            record = faults.one(chosen, watch, probers)
        finally:
            for prober in probers.values():
                prober.close()
        assert record["wrong"] == []
        assert (record["verdict"], record["found_rank"]) == ("crash", 1)
        assert watch.wait(workers_may_stay=False)[1] == []


class TestAccuracy:
    @pytest.mark.parametrize("edge", [1, 7, 100, 5000])
    @pytest.mark.parametrize("near", [1, 90, 4000])
    def test_the_scan_ends_at_the_edge(self, edge: int, near: int) -> None:
        assert accuracy.scan_edge(lambda b: b <= edge, near) == edge

    def test_the_scan_sees_a_batch_that_passes_above_the_first_that_fails(self) -> None:
        assert accuracy.scan_edge(lambda b: b <= 100 or b == 105, 90) == 105

    def test_an_answer_that_does_not_last_is_false_safety(self, tmp_path: Path) -> None:
        work = WorkFile(tmp_path / "work.jsonl")
        for name, verdict in (("a", "stable"), ("b", "oom")):
            work.add("accuracy", name, searched(97, verdict))
        work.add("accuracy", "d", {**searched(97, "oom"), "longer_steps": 300})
        work.add("accuracy", "c", searched(None, ""))
        work.add(
            "scan", "a", {"largest": 100, "lasts": True, "scanned": {"97": True}, "lasted": {}}
        )
        found = accuracy.summary(WorkFile(work.path))
        total = found["total"]
        assert (total["searches"], total["recommended"], total["false_safe"]) == (4, 3, 1)
        assert found["lowest_found_over_true"] == 0.97
        assert list(found["failed"]) == ["b"]
        assert list(found["still_rising"]) == ["d"]

    def test_every_search_is_another_one(self) -> None:
        import itertools

        asked = list(itertools.islice(accuracy.all_asked(), 40))
        assert len({each.identity for each in asked}) == 40
        assert len({(each.case.name, each.way) for each in asked[:6]}) == 6


def searched(batch: int | None, verdict: str) -> dict[str, Any]:
    return {
        "workload": "mlp", "way": "ddp", "max_batch": batch, "reason": "", "probes": 5,
        "samples": 100, "search_s": 2.0, "confirmed_steps": 30, "longer_steps": 299,
        "longer_verdict": verdict, "longer_reason": "",
    }  # fmt: skip


class TestPeers:
    @pytest.mark.parametrize(
        ("returncode", "found", "samples", "ranks", "outcome"),
        [
            (None, [None, None], 900, 2, "hung"),
            (1, [None, None], 0, 2, "refused"),
            (1, [None, None], 900, 2, "crashed"),
            (0, [64, None], 900, 1, "one process"),
            (0, [64, 32], 900, 2, "answer"),
        ],
    )
    def test_how_a_peer_ended(
        self,
        returncode: int | None,
        found: list[int | None],
        samples: int,
        ranks: int,
        outcome: str,
    ) -> None:
        assert peers.outcome(returncode, found, samples, ranks) == outcome

    @pytest.mark.parametrize(
        ("found", "lasts", "right"),
        [
            ([98, 98], True, True),
            ([98, 64], True, False),
            ([96, 96], True, False),
            ([98, 98], False, False),
            ([None, None], True, False),
        ],
    )
    def test_right_is_one_batch_for_all_that_is_close_and_lasts(
        self, found: list[int | None], lasts: bool, right: bool
    ) -> None:
        assert peers.is_right({"found": found, "lasts": lasts}, 100) is right

    def test_an_answer_without_a_truth_is_not_judged(self) -> None:
        assert peers.is_right({"found": [98, 98], "lasts": True}, None) is None


def test_the_goal_of_a_start_is_one_and_a_half_probes_and_gloos_own() -> None:
    record = {"first_s": {"1": 2.0, "2": 4.0}, "gloo_s": {"2": 1.0}}
    assert price.of_goal(record, "first_s", "2") == 1.0


def test_records_are_read_back_without_the_line_that_a_kill_cut(tmp_path: Path) -> None:
    work = WorkFile(tmp_path / "work.jsonl")
    work.add("starts", "0", {"first_s": {}})
    with work.path.open("a") as file:
        file.write('{"part": "starts", "ident')
    assert WorkFile(work.path).of("starts") == {"0": {"first_s": {}}}


def test_the_tables_show_what_was_wrong(tmp_path: Path) -> None:
    work = WorkFile(tmp_path / "work.jsonl")
    outcome = {"kind": "leak", "waits": False, "hung": False, "seconds": 2.0, "wrong": ["rank 0"]}
    work.add("faults", "seed 1, 0: leak", {**outcome, "gone_s": 0.1})
    work.add("peers truth", "equal", {"largest": 100})
    refused = {"outcome": "refused", "found": [None, None], "samples": 0, "wall_s": 9.0}
    work.add("peers", "equal: lightning", {**refused, "message": "ValueError: not supported"})
    data, text = document(work)
    assert data["faults"]["total"]["wrong"] == 1
    assert "- seed 1, 0: leak: rank 0" in text
    assert "ValueError: not supported" in text
