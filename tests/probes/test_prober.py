"""How a prober runs its jobs: each in a fresh fork of one clean worker, whatever happens to it."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from probes.errors import InputError, MeasurementError
from probes.isolation import WorkerReply
from probes.job import BRACKET_PLAN, ProbeJob, WorkloadRef
from probes.measurement import Measurement, Verdict
from probes.prober import Prober
from probes.worker import fork_server

FAULTY = Path(__file__).with_name("faulty.py")
MIB = 2**20


@pytest.fixture(scope="module")
def prober() -> Iterator[Prober]:
    with Prober(sys.executable) as opened:
        yield opened


def job(name: str, batch_size: int = 8, **config: object) -> ProbeJob:
    return ProbeJob(
        WorkloadRef(f"{FAULTY}:{name}" if name[0].isupper() else name),
        config or {"width": 64},
        batch_size,
        "cpu",
        BRACKET_PLAN,
        limit_bytes=512 * MIB,
    )


def pids(m: Measurement) -> tuple[int, int]:
    found = re.search(r"process (\d+) of (\d+)", m.stdout_tail)
    assert found, m.stdout_tail
    return int(found[1]), int(found[2])


def test_every_probe_has_a_process_of_its_own_from_one_worker(prober: Prober) -> None:
    (first, parent), (second, same_parent) = (
        pids(prober.probe(job("TellsItsProcess"))) for _ in range(2)
    )
    assert first != second and parent == same_parent


def test_output_belongs_to_the_probe_that_printed_it(prober: Prober) -> None:
    assert "process" in prober.probe(job("TellsItsProcess")).stdout_tail
    assert "process" not in prober.probe(job("Healthy")).stdout_tail


@pytest.mark.parametrize("name", ["Killed", "Segfaults", "Exits"])
def test_a_death_costs_no_more_than_its_own_probe(prober: Prober, name: str) -> None:
    _, parent = pids(prober.probe(job("TellsItsProcess")))
    assert prober.probe(job(name)).verdict is Verdict.CRASH
    assert pids(prober.probe(job("TellsItsProcess")))[1] == parent


def test_a_worker_that_was_killed_is_replaced(prober: Prober) -> None:
    _, parent = pids(prober.probe(job("TellsItsProcess")))
    os.kill(parent, signal.SIGKILL)
    assert pids(prober.probe(job("TellsItsProcess")))[1] != parent


def test_a_question_whose_worker_was_killed_is_asked_once_more(monkeypatch) -> None:
    killed = WorkerReply(returncode=-signal.SIGKILL, last_progress={"phase": "import"})
    answers = [killed, WorkerReply(result={"devices": []}, returncode=0)]
    with Prober(sys.executable) as asking:
        monkeypatch.setattr(asking, "_started", lambda environment: None)
        monkeypatch.setattr(asking, "_request", lambda worker, job: answers.pop(0))
        assert asking.devices() == {"devices": []}
        answers = [killed, killed]
        with pytest.raises(MeasurementError, match="ended with status -9"):
            asking.devices()
        answers = [WorkerReply(returncode=1)]
        with pytest.raises(MeasurementError, match="ended with status 1"):
            asking.devices()


def test_questions_do_not_spoil_the_worker_that_measures(prober: Prober) -> None:
    assert prober.describe(WorkloadRef(f"{FAULTY}:GlobalState"))["dataset_size"] is None
    assert prober.probe(job("Healthy")).verdict is Verdict.STABLE


def test_a_workload_that_ignores_the_batch_size_is_found_out(prober: Prober) -> None:
    assert prober.probe(job("SameBatches", 8)).passed
    with pytest.raises(InputError, match="does not use batch_size"):
        prober.probe(job("SameBatches", 256))


def test_a_library_is_imported_once_for_all_probes_of_a_workload() -> None:
    library = job("ImportsALibrary")
    with Prober(sys.executable) as prober:
        assert "imported now" in prober.probe(library).stdout_tail
        prober.describe(library.workload)
        assert "imported before" in prober.probe(library).stdout_tail
        prober.close()
        assert "imported before" in prober.probe(library).stdout_tail, "a new worker knows too"


def test_a_library_is_left_to_each_probe_where_the_workload_prepares_its_import() -> None:
    changed = replace(
        job("ImportsALibrary"),
        workload=WorkloadRef(f"{FAULTY}:ImportsALibrary", {"variable": "READ_BY_THE_LIBRARY"}),
    )
    with Prober(sys.executable) as prober:
        prober.describe(changed.workload)
        assert "imported now" in prober.probe(changed).stdout_tail


def test_equal_probes_of_one_worker_peak_at_the_same_memory(prober: Prober) -> None:
    peaks = [prober.probe(job("Hungry", 64)).peak_bytes or 0 for _ in range(3)]
    assert min(peaks) > 64 * MIB
    assert max(peaks) - min(peaks) <= 2 * MIB


def test_where_a_driver_is_open_jobs_are_not_forked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert fork_server.can_fork()
    device = tmp_path / "accelerator"
    device.touch()
    monkeypatch.setattr(fork_server, "DRIVER_FILES", (str(device),))
    with device.open():
        assert not fork_server.can_fork()
    assert fork_server.can_fork()


# -- the analytic prior ---------------------------------------------------------------------------


def test_the_prior_predicts_the_peak_without_a_step(prober: Prober) -> None:
    asked = job("transformer", 32, layers=2, width=128)
    prior = prober.estimate(asked, ceiling=10_000)
    assert prior, prior.reason
    assert prior.points[-1][1] == pytest.approx(prior.cap_bytes, rel=0.1), "it went to the edge"
    peak = prober.probe(asked).peak_bytes
    assert peak is not None
    assert prior.at(32) == pytest.approx(peak, rel=0.1)


def test_a_prior_never_looks_beyond_the_ceiling(prober: Prober) -> None:
    prior = prober.estimate(job("transformer", layers=2, width=128), ceiling=20)
    assert [batch for batch, _ in prior.points] == [4, 16, 20]


def test_what_cannot_be_known_beforehand_is_said(prober: Prober) -> None:
    prior = prober.estimate(job("DataDependent"), ceiling=1000)
    assert not prior
    assert prior.reason


def test_a_workload_can_say_why_and_nothing_is_built(prober: Prober) -> None:
    prior = prober.estimate(job("SaysWhyNotEstimated"), ceiling=1000)
    assert not prior
    assert prior.reason == "its loss reads values"


def test_what_loading_the_workload_takes_is_outside_the_budget(prober: Prober) -> None:
    asked = replace(job("LoadsMuch", width=1024), limit_bytes=128 * MIB)
    prior = prober.estimate(asked, ceiling=1000)
    assert prior, prior.reason


def test_a_model_larger_than_the_budget_has_no_prior(prober: Prober) -> None:
    prior = prober.estimate(job("HugeModel"), ceiling=1000)
    assert not prior
    assert "memory" in prior.reason


def test_no_fork_is_made_of_a_process_in_which_a_library_has_started_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lib_quiet.py").write_text("")
    (tmp_path / "lib_threads.py").write_text(
        "import threading\nstop = threading.Event()\n"
        "thread = threading.Thread(target=stop.wait)\nthread.start()\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(fork_server.Preload, "finish", lambda self: None)
    monkeypatch.setattr(fork_server.gc, "freeze", lambda: None)
    preload = fork_server.Preload()
    assert preload.add(["lib_quiet", "lib_that_is_missing"], {})
    assert not preload.add(["lib_quiet"], {"SET_BY_THE_WORKLOAD": "1"})
    try:
        assert not preload.add(["lib_threads"], {})
    finally:
        sys.modules["lib_threads"].stop.set()
        sys.modules["lib_threads"].thread.join()
