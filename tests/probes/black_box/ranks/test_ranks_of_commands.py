"""Commands on several devices, without torch: what they get, what is counted, what it means."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from probes.black_box import placement, run
from probes.black_box.command import command_of, reference
from probes.black_box.footprint import Footprint
from probes.black_box.judge import judge
from probes.black_box.observed import Observed, RankSeen
from probes.black_box.placement import Placement, limits_of
from probes.black_box.probe import CommandProber
from probes.black_box.ranks.watches import RankWatches
from probes.black_box.steps import Passed
from probes.black_box.usage import Usage
from probes.devices import host
from probes.devices.base import MemoryCap
from probes.errors import InputError
from probes.group import Group
from probes.job import BRACKET_PLAN, CONFIRM_PLAN, ProbeJob, StepPlan
from probes.measurement import Measurement, Verdict
from probes.timeouts import Timeouts

SCRIPT = Path(__file__).parents[1] / "script.py"
LAUNCHER = Path(__file__).with_name("launcher.py")
GIB, MIB = 2**30, 2**20
CPUS = Group(("cpu", "cpu"))
PATIENT = Timeouts(startup_s=60.0, step_s=60.0, probe_s=120.0)


def footprint(job: ProbeJob) -> Footprint:
    return Footprint(job.limit_bytes or GIB, 0, 0, 80 * GIB, torch="2.13", python="3.11")


def job(
    command: str,
    group: Group | None = CPUS,
    plan: StepPlan = BRACKET_PLAN,
    limit_bytes: int | None = 256 * MIB,
    **more: object,
) -> ProbeJob:
    workload = reference("train.py", {"command": command, **more})
    device = "cpu" if group is None else group.label
    return ProbeJob(workload, {}, 8, device, plan, limit_bytes, 0.0, group=group)


def launch(rest: str, ranks: str = "{ranks}", plan: StepPlan = BRACKET_PLAN) -> Measurement:
    """Independent processes as ranks, each of which runs ``script.py``."""
    command = f"{sys.executable} {LAUNCHER} {ranks} {SCRIPT} --batch-size {{batch_size}} {rest}"
    asked = job(command.strip(), plan=plan)
    return CommandProber(sys.executable, PATIENT, footprint).probe(asked)


@pytest.mark.parametrize(("group", "ranks"), [(CPUS, "2"), (None, "1")])
def test_ranks_stands_for_the_number_of_devices(group: Group | None, ranks: str) -> None:
    asked = job(f"{sys.executable} -c pass {{ranks}} {{batch_size}}", group)
    command = command_of(asked.workload)
    assert command.argv(command.values(asked, "", "python"))[-2:] == [ranks, "8"]


def test_a_dimension_of_that_name_stays_one_where_no_devices_are_named() -> None:
    text = f"{sys.executable} -c pass {{ranks}} {{batch_size}}"
    asked = replace(job(text, None, space={"ranks": [2, 4]}), config={"ranks": 4})
    command = command_of(asked.workload)
    assert command.argv(command.values(asked, "", "python"))[-2] == "4"
    both = replace(job(text, CPUS, space={"ranks": [2, 4]}), config={"ranks": 4})
    with pytest.raises(InputError, match="--devices"):
        command.values(both, "", "python")


class TestPlacement:
    def test_the_ranks_of_a_cpu_share_its_memory_and_its_cores(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(host, "usable_cores", lambda: 8)
        monkeypatch.setattr(host, "memory_total_bytes", lambda: 16 * GIB)
        monkeypatch.setattr(host, "memory_free_bytes", lambda: 16 * GIB)
        asked = job("python train.py {batch_size}", limit_bytes=None)
        place = Placement(asked, [footprint(asked)] * 2)
        assert [cap.cap_bytes for cap in place.caps] == [8 * GIB, 8 * GIB]
        assert place.environ({})["OMP_NUM_THREADS"] == "4"
        assert place.environ({"OMP_NUM_THREADS": "3"})["OMP_NUM_THREADS"] == "3"
        monkeypatch.setenv("OMP_NUM_THREADS", "2")
        assert place.environ({})["OMP_NUM_THREADS"] == "2"

    def test_what_is_free_is_shared_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(host, "memory_free_bytes", lambda: 300 * MIB)
        asked = job("python train.py {batch_size}")
        place = Placement(asked, [footprint(asked)] * 2)
        assert [cap.cap_bytes for cap in place.caps] == [150 * MIB, 150 * MIB]
        assert len(place.notes) == 1 and "per rank" in place.notes[0]

    def test_each_rank_may_have_a_budget_of_its_own(self) -> None:
        group = replace(CPUS, limits=(200 * MIB, 100 * MIB))
        assert limits_of(job("python train.py {batch_size}", group)) == (200 * MIB, 100 * MIB)

    def test_a_command_sees_the_devices_of_its_group_and_the_smallest_share_of_them(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("CUDA_VISIBLE_DEVICES", "PYTORCH_ALLOC_CONF", "OMP_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
        asked = job("torchrun train.py {batch_size}", Group(("cuda:0", "cuda:2")))
        sizes = [replace(footprint(asked), limit_bytes=n * GIB) for n in (40, 20)]
        environ = Placement(asked, sizes).environ({})
        assert environ["CUDA_VISIBLE_DEVICES"] == "0,2"
        assert environ["PYTORCH_ALLOC_CONF"].endswith("per_process_memory_fraction:0.250000")
        assert "OMP_NUM_THREADS" not in environ

    def test_one_footprint_is_asked_for_each_device(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[str] = []

        def read(alone: ProbeJob) -> Footprint:
            assert alone.group is None
            asked.append(alone.device)
            return footprint(alone)

        prober = CommandProber(sys.executable, PATIENT, read)
        gpus = job(f"{sys.executable} -c pass {{batch_size}}", Group(("cuda:1", "cuda:3")))
        monkeypatch.setattr(placement.Placement, "__post_init__", _stop)
        for each in (gpus, job(f"{sys.executable} -c pass {{batch_size}}")):
            with pytest.raises(_Stopped):
                prober.probe(each)
        assert asked == ["cuda:1", "cuda:3", "cpu"]


class _Stopped(Exception):
    pass


def _stop(self: object) -> None:
    raise _Stopped


def ended(
    why: str,
    *,
    found: int = 2,
    usages: tuple[int, ...] = (100, 120),
    plan: StepPlan = BRACKET_PLAN,
    steps: int = 10,
    grows: tuple[float, ...] = (0, 0),
    **seen: object,
) -> Measurement:
    """What is made of a run in which the ranks had these peaks, in MiB, and some steps passed.
    ``grows``: by how much each rank's memory grows with every step."""
    asked = job(f"{sys.executable} {SCRIPT} {{batch_size}}", plan=plan)
    caps = [MemoryCap(256 * MIB, 256 * MIB, 0, enforced=True)] * 2
    watches = RankWatches(asked.plan, caps)
    watches.begin()
    for step in range(steps):
        start = [size - (steps - 1 - step) * rate for size, rate in zip(usages, grows, strict=True)]
        held = [Usage(int(size * MIB), int(size * MIB)) for size in start]
        watches.add(Passed(1, 0.1, 0.1 * step), held, None)
    ranks = [
        RankSeen("cpu", cap, watch, peak_bytes=size * MIB)
        for cap, watch, size in zip(caps, watches.ranks, usages, strict=True)
    ]
    observed = Observed("train.py", {}, ranks, why=why, ranks_found=found)
    for name, value in seen.items():
        setattr(observed, name, value)
    return judge(asked, command_of(asked.workload), observed, has_stepped=True)


class TestWhatARunMeans:
    def test_the_fullest_rank_limits_a_run_that_passed(self) -> None:
        m = ended("done")
        assert (m.verdict, m.limiting_rank, m.peak_bytes) == (Verdict.STABLE, 1, 120 * MIB)
        assert [rank.peak_bytes for rank in m.ranks] == [100 * MIB, 120 * MIB]

    def test_the_rank_beyond_its_cap_is_out_of_memory(self) -> None:
        m = ended("over", usages=(300, 120))
        assert (m.verdict, m.limiting_rank) == (Verdict.OOM, 0)
        assert [rank.verdict for rank in m.ranks] == [Verdict.OOM, Verdict.STABLE]

    def test_a_leak_in_a_rank_that_has_less_than_another_is_found(self) -> None:
        m = ended("done", usages=(200, 150), grows=(0, 0.5), steps=150, plan=CONFIRM_PLAN)
        assert (m.verdict, m.limiting_rank) == (Verdict.LEAK, 1)
        assert m.growth is not None and 0.4 * MIB < m.growth.bytes_per_step < 0.6 * MIB
        assert [rank.verdict for rank in m.ranks] == [Verdict.STABLE, Verdict.LEAK]

    @pytest.mark.parametrize(("found", "words"), [(1, "Only one process"), (4, "with 4 ranks")])
    def test_another_number_of_ranks_than_was_asked_for_is_an_error(
        self, found: int, words: str
    ) -> None:
        with pytest.raises(InputError, match=words) as error:
            ended("ranks", found=found)
        assert "{ranks}" in str(error.value) and "cpu:0-1" in str(error.value)

    def test_a_time_out_names_no_rank_where_none_said_anything(self) -> None:
        m = ended("timeout", late="silent for 60 s in step 11")
        assert (m.verdict, m.limiting_rank) == (Verdict.TIMEOUT, None)
        assert m.reason.startswith("It was silent")
        assert m.peak_bytes == 120 * MIB  # of the fullest rank
        assert [rank.verdict for rank in m.ranks] == [None, None]

    def test_a_rank_that_lingers_after_its_out_of_memory_is_not_taken_for_slow(self) -> None:
        said = (
            '[rank1]: Traceback (most recent call last):\n[rank1]:   File "t.py", line 1\n'
            "[rank1]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
        )
        m = ended("timeout", late="silent for 60 s", stderr_tail=said)
        assert (m.verdict, m.limiting_rank) == (Verdict.OOM, 1)

    @pytest.mark.parametrize(
        ("usages", "verdict"), [((100, 100), Verdict.CRASH), ((100, 250), Verdict.OOM)]
    )
    def test_a_rank_that_vanished_gives_the_verdict(
        self, usages: tuple[int, int], verdict: Verdict
    ) -> None:
        m = ended("alone", usages=usages, plan=CONFIRM_PLAN, lost=[1])
        assert (m.verdict, m.limiting_rank) == (verdict, 1)


needs_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="the budget is enforced on Linux"
)


@needs_linux
def test_processes_that_print_the_same_steps_are_counted_once_and_by_rank() -> None:
    m = launch("")
    assert m.passed, m.reason
    assert len(m.ranks) == 2 and all((rank.peak_bytes or 0) > 0 for rank in m.ranks)
    assert 8 * MIB < (m.peak_bytes or 0) < 30 * MIB  # of one rank, not of both
    assert any("train separately" in note for note in m.notes)


class FakeGpu:
    """A device of which a command takes a fixed amount, beside what was in use before."""

    def __init__(self, uuid: str) -> None:
        self.mine_bytes = {"uuid-cuda:0": 2 * GIB, "uuid-cuda:1": 3 * GIB}[uuid]
        self.reads = 0

    def memory(self) -> dict[str, object]:
        self.reads += 1
        used = GIB if self.reads == 1 else GIB + self.mine_bytes
        return {"memory_used_bytes": used, "process_bytes": {}}


def test_on_gpus_each_rank_has_the_memory_of_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement.NvmlDevice, "find", FakeGpu)

    def on_gpu(alone: ProbeJob) -> Footprint:
        uuid = f"uuid-{alone.device}"
        return Footprint(8 * GIB, GIB, 0, 80 * GIB, torch="2.13", python="3.11", uuid=uuid)

    command = f"{sys.executable} {LAUNCHER} {{ranks}} {SCRIPT} --batch-size {{batch_size}}"
    asked = job(command, Group(("cuda:0", "cuda:1")), limit_bytes=8 * GIB)
    m = CommandProber(sys.executable, PATIENT, on_gpu).probe(asked)
    assert m.passed, m.reason
    assert (m.device, m.limiting_rank, m.peak_bytes) == ("cuda:0-1", 1, 4 * GIB)
    assert [(r.device, r.peak_bytes) for r in m.ranks] == [("cuda:0", 3 * GIB), ("cuda:1", 4 * GIB)]


@needs_linux
def test_a_command_in_which_one_process_trains_is_told_so() -> None:
    with pytest.raises(InputError, match="Only one process"):
        launch("", ranks="1")


@needs_linux
def test_a_rank_that_dies_while_the_launcher_waits_ends_the_probe(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "RANK_GRACE_S", 0.5)
    m = launch("--mode hangs", ranks="{ranks} --kills-last", plan=CONFIRM_PLAN)
    assert (m.verdict, m.limiting_rank) == (Verdict.CRASH, 1)
    assert "its process ended" in m.reason
