"""Commands that really train on two CPU ranks, started by torchrun or by ``mp.spawn``."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from probes.black_box.command import reference
from probes.black_box.footprint import Footprint
from probes.black_box.probe import CommandProber
from probes.errors import InputError
from probes.group import Group
from probes.job import BRACKET_PLAN, ProbeJob
from probes.measurement import Measurement, Verdict
from probes.timeouts import Timeouts

SCRIPT = Path(__file__).with_name("ddp.py")
GIB = 2**30
MIB = 2**20
TORCHRUN = f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node {{ranks}}"
SPAWN = f"{sys.executable}"
PATIENT = Timeouts(startup_s=240.0, step_s=60.0, probe_s=300.0)
IMPATIENT = replace(PATIENT, step_s=4.0)

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the budget is enforced on Linux"
)


def torch_alone(job: ProbeJob) -> Footprint:
    return Footprint(job.limit_bytes or GIB, 0, 0, 2**34, torch="2.13", python="3.11")


def job(start: str, mode: str, rest: str = "", ranks: int = 2, batch_size: int = 4) -> ProbeJob:
    command = f"{start} {SCRIPT} --mode {mode} --batch-size {{batch_size}} {rest}".strip()
    group = Group(("cpu",) * ranks)
    return ProbeJob(
        reference("ddp.py", {"command": command}),
        {}, batch_size, group.label, BRACKET_PLAN, 4 * GIB, 0.0, group=group,
    )  # fmt: skip


def probe(start: str, mode: str, rest: str = "", timeouts: Timeouts = PATIENT) -> Measurement:
    rest = f"{rest} --spawn {{ranks}}" if start == SPAWN else rest
    return CommandProber(sys.executable, timeouts, torch_alone).probe(job(start, mode, rest))


def verdicts(measurement: Measurement) -> list[Verdict | None]:
    return [rank.verdict for rank in measurement.ranks]


@pytest.mark.parametrize("start", [TORCHRUN, SPAWN], ids=["torchrun", "spawn"])
def test_memory_counts_by_rank_and_the_fullest_limits(start: str) -> None:
    m = probe(start, "starts-others", "--extra-mib 300")
    assert m.passed, m.reason
    assert (m.device, m.data_parallel, m.limiting_rank) == ("cpu:0-1", 2, 1)
    assert [rank.device for rank in m.ranks] == ["cpu", "cpu"]
    first, second = (rank.peak_bytes or 0 for rank in m.ranks)
    assert second - first == pytest.approx(300 * MIB, abs=60 * MIB)
    assert m.peak_bytes == second
    assert m.cap_bytes == m.ranks[0].cap_bytes == 4 * GIB
    assert m.samples == 2 * 4 * m.steps and m.effective_batch_size == 8
    assert not [pid for pid in _started(m) if psutil.pid_exists(pid)]


def _started(measurement: Measurement) -> list[int]:
    found = [int(pid) for pid in re.findall(r"^started (\d+)$", measurement.stdout_tail, re.M)]
    assert len(found) == 2
    return found


@pytest.mark.parametrize("start", [TORCHRUN, SPAWN], ids=["torchrun", "spawn"])
@pytest.mark.parametrize(
    ("mode", "verdict", "words"),
    [
        ("oom", Verdict.OOM, "allocat"),
        ("killed", Verdict.CRASH, "SIGKILL"),
        ("raises", Verdict.CRASH, "ValueError: labels are missing"),
    ],
)
def test_the_rank_that_fails_gives_the_verdict(
    start: str, mode: str, verdict: Verdict, words: str
) -> None:
    m = probe(start, mode)
    assert (m.verdict, m.limiting_rank) == (verdict, 1)
    assert m.reason.startswith("Rank 1 of 2: While training: ") and words in m.reason
    assert verdicts(m) == [None, verdict]


def test_a_rank_that_hangs_is_a_time_out_and_nothing_is_left() -> None:
    m = probe(TORCHRUN, "hangs", timeouts=IMPATIENT)
    assert m.verdict is Verdict.TIMEOUT and "in step 4" in m.reason
    assert not _trains()


def test_a_rank_that_lingers_after_its_out_of_memory_is_not_taken_for_slow() -> None:
    m = probe(TORCHRUN, "oom-lingers", timeouts=IMPATIENT)
    assert (m.verdict, m.limiting_rank) == (Verdict.OOM, 1)
    assert not _trains()


def _trains() -> list[int]:
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if str(SCRIPT) in words and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


@pytest.mark.parametrize("mode", ["all-print", "names-ranks"])
def test_a_step_that_both_ranks_print_is_one_step(mode: str) -> None:
    m = probe(TORCHRUN, mode)
    assert m.passed, m.reason
    printed = max(int(step) for step in re.findall(r"step (\d+)", m.stdout_tail))
    assert m.steps <= printed


def test_a_command_in_which_one_process_trains_is_told_so() -> None:
    single = job(TORCHRUN.replace("{ranks}", "1"), "healthy")
    with pytest.raises(InputError, match=r"(?s)Only one process.*cpu:0-1.*\{ranks\}"):
        CommandProber(sys.executable, PATIENT, torch_alone).probe(single)
