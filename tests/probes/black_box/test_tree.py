"""What of a process tree counts: on a made-up ``/proc``, and on a GPU that is one too."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.black_box import tree as trees
from probes.black_box.gpu import GpuTree, torch_cap, visible_devices
from probes.black_box.tree import CpuTree
from probes.devices.host import file_mappings
from probes.devices.reading import Missing
from probes.errors import MeasurementError

MIB = 2**20
ROOT = 1


@pytest.fixture(autouse=True)
def _stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "_stack_bytes", lambda: 8 * MIB)
    monkeypatch.setattr(trees, "limit_addresses", lambda pid, limit: LIMITS.update({pid: limit}))
    LIMITS.clear()


LIMITS: dict[int, int] = {}


def process(
    proc: Path, pid: int, parent: int, *, size: int, peak: int = 0, threads: int = 1,
    libraries: int = 0, torch: bool = False, stack: int | None = None, children: str = "",
    resident_peak: int = 0, resident_files: int = 0,
) -> None:  # fmt: skip
    """Sizes in MiB."""
    folder = proc / str(pid)
    (folder / "task" / str(pid)).mkdir(parents=True, exist_ok=True)
    (folder / "task" / str(pid) / "children").write_text(children)
    (folder / "status").write_text(
        f"Name:\tx\nVmPeak:\t{max(peak, size) * 1024} kB\nVmSize:\t{size * 1024} kB\n"
        f"VmSwap:\t0 kB\nThreads:\t{threads}\nVmHWM:\t{resident_peak * 1024} kB\n"
        f"RssFile:\t{resident_files * 1024} kB\n"
    )
    fields = ["S", str(parent), *["0"] * 23, str(pid * 4096 if stack is None else stack)]
    (folder / "stat").write_text(f"{pid} (a ) b) {' '.join(fields)}")
    name = "/lib/libtorch_cpu.so" if torch else "/lib/libc.so"
    (folder / "maps").write_text(f"1000000-{0x1000000 + libraries * MIB:x} r-xp 0 0:0 1 {name}\n")


def held(tree: CpuTree | GpuTree) -> int:
    """Of a command on a single device."""
    tree.look()
    return tree.usages[0].held_bytes


def test_libraries_stacks_and_what_torch_takes_to_start_do_not_count(tmp_path: Path) -> None:
    process(tmp_path, ROOT, 0, size=20, children="2")
    process(tmp_path, 2, ROOT, size=1000, peak=1100, threads=3, libraries=400, torch=True)
    tree = CpuTree(ROOT, [500 * MIB], 200 * MIB, tmp_path)
    tree.find()
    assert held(tree) == (1000 - 400 - 200 - 16) * MIB
    assert tree.usages[0].peak_bytes == (1100 - 400 - 200 - 16) * MIB
    tree.enforce()
    assert LIMITS == {2: (500 + 400 + 200 + 16) * MIB}


def test_libraries_that_are_loaded_after_the_limit_was_set_raise_it(tmp_path: Path) -> None:
    process(tmp_path, ROOT, 0, size=20, children="2")
    process(tmp_path, 2, ROOT, size=500, libraries=400)
    tree = CpuTree(ROOT, [500 * MIB], 0, tmp_path)
    tree.find()
    tree.enforce()
    assert LIMITS == {2: 900 * MIB}
    process(tmp_path, 2, ROOT, size=650, libraries=550)
    tree.find()
    assert LIMITS == {2: 1050 * MIB}
    assert held(tree) == 100 * MIB


def test_a_limit_that_was_set_too_early_is_widened_again(tmp_path: Path) -> None:
    process(tmp_path, ROOT, 0, size=20, children="2")
    process(tmp_path, 2, ROOT, size=50, libraries=40)
    tree = CpuTree(ROOT, [500 * MIB], 200 * MIB, tmp_path)
    tree.find()
    tree.enforce()
    tree.relax()
    assert LIMITS == {2: 540 * MIB + trees.ROOM_BEFORE_STEPS}
    process(tmp_path, 2, ROOT, size=1500, libraries=1000, torch=True)
    tree.find()
    assert held(tree) == 300 * MIB
    tree.enforce()
    assert LIMITS == {2: 1700 * MIB}


def test_a_program_without_torch_starts_with_less(tmp_path: Path) -> None:
    process(tmp_path, ROOT, 0, size=20, children="2")
    process(tmp_path, 2, ROOT, size=50, libraries=30)
    tree = CpuTree(ROOT, [500 * MIB], 200 * MIB, tmp_path)
    tree.find()
    assert held(tree) == 20 * MIB


def test_processes_of_their_own_add_up_and_forks_count_what_they_add(tmp_path: Path) -> None:
    process(tmp_path, ROOT, 0, size=20, children="2")
    process(tmp_path, 2, ROOT, size=130, libraries=30, children="3 4")
    process(tmp_path, 3, 2, size=80, libraries=30)  # a program of its own
    process(tmp_path, 4, 2, size=130, stack=2 * 4096)  # a fork: a data loader's worker
    tree = CpuTree(ROOT, [500 * MIB], 0, tmp_path)
    tree.find()
    assert held(tree) == (100 + 50 + 0) * MIB
    process(tmp_path, 4, 2, size=170, stack=2 * 4096)
    assert held(tree) == (100 + 50 + 40) * MIB


def test_a_process_that_ended_is_not_held_but_was_in_the_peak(tmp_path: Path) -> None:
    process(tmp_path, ROOT, 0, size=20, children="2")
    process(tmp_path, 2, ROOT, size=130, libraries=30)
    tree = CpuTree(ROOT, [500 * MIB], 0, tmp_path)
    tree.find()
    held(tree)
    process(tmp_path, ROOT, 0, size=20, children="")
    tree.find()
    assert (held(tree), tree.usages[0].peak_bytes) == (0, 100 * MIB)


def test_the_resident_peak_is_reset_at_each_look_and_files_do_not_count(tmp_path: Path) -> None:
    process(tmp_path, ROOT, 0, size=20, children="2 3")
    process(tmp_path, 2, ROOT, size=130, resident_peak=90, resident_files=30)
    process(tmp_path, 3, ROOT, size=50, resident_peak=40, resident_files=5)
    tree = CpuTree(ROOT, [500 * MIB], 0, tmp_path)
    tree.find()
    held(tree)
    assert tree.usages[0].high_bytes == (60 + 35) * MIB
    assert [(tmp_path / pid / "clear_refs").read_text() for pid in "23"] == ["5", "5"]


class Ranks:
    """Knows which process belongs to which rank."""

    def __init__(self, leaders: dict[int, int], others: dict[int, int]) -> None:
        self.leaders = set(leaders)
        self._owners = {**leaders, **others}

    def assign(self, parents: dict[int, int]) -> dict[int, int]:
        return {pid: rank for pid, rank in self._owners.items() if pid in parents}


def test_each_rank_has_an_account_and_a_limit_of_its_own_and_the_launcher_none(
    tmp_path: Path,
) -> None:
    process(tmp_path, ROOT, 0, size=20, children="2")
    process(tmp_path, 2, ROOT, size=900, children="3 4")  # the launcher
    process(tmp_path, 3, 2, size=130, libraries=30)
    process(tmp_path, 4, 2, size=230, peak=330, libraries=30, children="5")
    process(tmp_path, 5, 4, size=50, libraries=30)
    ranks = Ranks({3: 0, 4: 1}, {5: 1})
    tree = CpuTree(ROOT, [500 * MIB, 400 * MIB], 0, tmp_path, ranks)  # type: ignore[arg-type]
    tree.find()
    tree.look()
    assert [usage.held_bytes for usage in tree.usages] == [100 * MIB, 220 * MIB]
    assert [usage.peak_bytes for usage in tree.usages] == [100 * MIB, 320 * MIB]
    tree.enforce()
    assert {pid: limit // MIB for pid, limit in LIMITS.items()} == {2: 500, 3: 530, 4: 430, 5: 430}


def test_a_rank_that_was_forked_trains_with_what_it_inherited(tmp_path: Path) -> None:
    process(tmp_path, ROOT, 0, size=20, children="2")
    process(tmp_path, 2, ROOT, size=130, libraries=30, children="3")
    process(tmp_path, 3, 2, size=150, libraries=30, stack=2 * 4096, children="4")
    process(tmp_path, 4, 3, size=150, libraries=30, stack=2 * 4096)  # its data loader
    ranks = Ranks({3: 0}, {4: 0})
    tree = CpuTree(ROOT, [500 * MIB], 0, tmp_path, ranks)  # type: ignore[arg-type]
    tree.find()
    assert held(tree) == 120 * MIB


def test_where_the_kernel_resets_no_peak_there_is_none(tmp_path: Path) -> None:
    process(tmp_path, ROOT, 0, size=20, children="2")
    process(tmp_path, 2, ROOT, size=130, resident_peak=90)
    (tmp_path / "2" / "clear_refs").mkdir()  # it cannot be written
    tree = CpuTree(ROOT, [500 * MIB], 0, tmp_path)
    tree.find()
    held(tree)
    assert tree.usages[0].high_bytes is None


def test_shared_memory_counts_although_it_has_a_name() -> None:
    maps = (
        "1000-2000 r-xp 0 0:0 1 /usr/lib/libtorch.so\n2000-4000 rw-s 0 0:0 1 /dev/shm/torch_1\n"
        "4000-5000 rw-s 0 0:0 1 /memfd:x (deleted)\n5000-9000 rw-p 0 0:0 0 \n"
        "9000-a000 rw-p 0 0:0 0 [heap]\n"
    )
    assert file_mappings(maps) == file_mappings("1000-2000 r-xp 0 0:0 1 /a/libtorch.so")
    assert file_mappings(maps).file_bytes == 0x1000


class Gpu:
    """NVML's view: bytes by process, and of the device."""

    def __init__(self, used: object, processes: object) -> None:
        self.used, self.processes = used, processes

    def memory(self) -> dict[str, object]:
        return {"memory_used_bytes": self.used, "process_bytes": self.processes}


def test_on_a_gpu_the_commands_processes_count_beside_what_was_there(tmp_path: Path) -> None:
    device = Gpu(100, {7: 100})
    tree = GpuTree([device], lambda: {20, 21})  # type: ignore[arg-type]
    device.used, device.processes = 1100, {7: 100, 20: 400, 21: 600}
    tree.find()
    assert held(tree) == tree.usages[0].peak_bytes == 100 + 1000
    assert not tree.notes


def test_each_gpu_is_the_memory_of_one_rank() -> None:
    devices = [Gpu(100, {}), Gpu(200, {})]
    tree = GpuTree(devices, lambda: {20, 21})  # type: ignore[arg-type]
    devices[0].processes, devices[1].processes = {20: 400, 21: 50}, {21: 600}
    tree.find()
    tree.look()
    assert [usage.peak_bytes for usage in tree.usages] == [550, 800]


def test_where_the_driver_names_no_process_the_device_counts() -> None:
    device = Gpu(100, Missing("WSL"))
    tree = GpuTree([device], lambda: {20})  # type: ignore[arg-type]
    device.used = 900
    assert held(tree) == 900
    assert "whole device" in tree.notes[0]
    with pytest.raises(MeasurementError, match="no figure"):
        GpuTree([Gpu(Missing("no figure"), {})], set)  # type: ignore[arg-type]


def test_the_command_sees_the_devices_that_are_measured() -> None:
    assert visible_devices(["cuda:0", "cuda:2"], {}) == {"CUDA_VISIBLE_DEVICES": "0,2"}
    assert visible_devices(["cpu"], {})["CUDA_VISIBLE_DEVICES"] == ""
    assert visible_devices(["cuda:1"], {}) == {"CUDA_VISIBLE_DEVICES": "1"}
    shown = {"CUDA_VISIBLE_DEVICES": "GPU-aa,GPU-bb"}
    assert visible_devices(["cuda:1"], shown) == {"CUDA_VISIBLE_DEVICES": "GPU-bb"}


def test_torch_is_told_the_cap_beside_what_it_was_told_before() -> None:
    before = {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}
    told = torch_cap(before, 0.25)["PYTORCH_ALLOC_CONF"]
    assert told == "expandable_segments:True,per_process_memory_fraction:0.250000"
    assert torch_cap({"PYTORCH_ALLOC_CONF": told}, 0.5) == {}
