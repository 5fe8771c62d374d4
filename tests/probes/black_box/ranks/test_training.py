"""Commands that really train on two CPU ranks, started by torchrun or by ``mp.spawn``."""

from __future__ import annotations

import re
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from probes.black_box.command import reference
from probes.black_box.footprint import Footprint
from probes.black_box.probe import CommandProber
from probes.group import Group
from probes.job import BRACKET_PLAN, ProbeJob
from probes.measurement import Measurement, Verdict
from probes.timeouts import Timeouts
from tests.processes import is_gone

SCRIPT = Path(__file__).with_name("ddp.py")
GIB = 2**30
MIB = 2**20
TORCHRUN = f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node {{ranks}}"
SPAWN = sys.executable
PATIENT = Timeouts(startup_s=240.0, step_s=60.0, probe_s=300.0)

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


@pytest.mark.parametrize(
    ("start", "prints"), [(TORCHRUN, "all"), (SPAWN, "named")], ids=["torchrun", "spawn"]
)
def test_two_ranks_train_and_the_fuller_one_limits(start: str, prints: str) -> None:
    m = probe(start, "starts-others", f"--extra-mib 300 --prints {prints}")
    assert m.passed, m.reason
    assert (m.device, m.data_parallel, m.limiting_rank) == ("cpu:0-1", 2, 1)
    assert [rank.device for rank in m.ranks] == ["cpu", "cpu"]
    first, second = (rank.peak_bytes or 0 for rank in m.ranks)
    assert second - first == pytest.approx(300 * MIB, abs=60 * MIB)
    assert m.peak_bytes == second
    assert not any("separately" in note for note in m.notes)
    assert m.cap_bytes == m.ranks[0].cap_bytes == 4 * GIB
    assert m.samples == 2 * 4 * m.steps and m.effective_batch_size == 8
    printed = max(int(step) for step in re.findall(r"step (\d+)", m.stdout_tail))
    assert m.steps <= printed  # both ranks print every step
    started = [int(pid) for pid in re.findall(r"started (\d+)", m.stdout_tail)]
    assert len(started) == 2 and all(is_gone(pid) for pid in started)


@pytest.mark.parametrize(
    ("start", "mode", "verdict", "words"),
    [
        (TORCHRUN, "oom", Verdict.OOM, "allocat"),
        (SPAWN, "oom", Verdict.OOM, "allocat"),
        (TORCHRUN, "killed", Verdict.CRASH, "SIGKILL"),
        (TORCHRUN, "raises", Verdict.CRASH, "ValueError: labels are missing"),
    ],
    ids=["oom", "oom-spawn", "killed", "raises"],
)
def test_the_rank_that_fails_gives_the_verdict(
    start: str, mode: str, verdict: Verdict, words: str
) -> None:
    m = probe(start, mode)
    assert (m.verdict, m.limiting_rank) == (verdict, 1)
    assert m.reason.startswith("Rank 1 of 2: While training: ")
    assert words in m.reason
    assert [rank.verdict for rank in m.ranks] == [None, verdict]


def test_a_rank_that_hangs_is_a_time_out_and_nothing_is_left() -> None:
    name = f"run-{uuid.uuid4()}"
    m = probe(TORCHRUN, "hangs", f"--name {name}", replace(PATIENT, step_s=4.0))
    assert m.verdict is Verdict.TIMEOUT
    assert "in step 4" in m.reason
    running = psutil.process_iter(["cmdline"])
    assert not [process.pid for process in running if name in (process.info["cmdline"] or [])]
