"""What the operating system says, read from made-up machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from probes.devices import host
from probes.formatting import GIB, MIB


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


MEMINFO = "MemTotal:       16777216 kB\nMemFree: 100 kB\nMemAvailable:    8388608 kB\n"


def test_without_a_control_group_the_machine_is_the_device(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/meminfo": MEMINFO})

    assert host.memory_total_bytes(root) == 16 * GIB
    assert host.memory_free_bytes(root) == 8 * GIB


def test_a_container_is_as_large_as_its_control_group(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/\n",
            "sys/fs/cgroup/cgroup.controllers": "memory\n",
            "sys/fs/cgroup/memory.max": f"{4 * GIB}\n",
            "sys/fs/cgroup/memory.current": f"{3 * GIB}\n",
            "sys/fs/cgroup/memory.stat": f"anon 5\ninactive_file {GIB}\n",
        },
    )

    assert host.memory_total_bytes(root) == 4 * GIB
    assert host.memory_free_bytes(root) == 2 * GIB  # page cache can be had back


def test_the_tightest_limit_of_all_ancestors_binds(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/slice/job\n",
            "sys/fs/cgroup/cgroup.controllers": "memory\n",
            "sys/fs/cgroup/slice/memory.max": f"{2 * GIB}\n",
            "sys/fs/cgroup/slice/memory.current": f"{GIB}\n",
            "sys/fs/cgroup/slice/job/memory.max": "max\n",
            "sys/fs/cgroup/slice/job/memory.current": "0\n",
        },
    )

    assert host.cgroup_memory(root) == host.CgroupMemory(2 * GIB, GIB)


def test_version_one_of_control_groups_is_read_too(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "5:devices:/x\n4:memory:/x\n0::/\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/x/memory.limit_in_bytes": f"{512 * MIB}\n",
            "sys/fs/cgroup/memory/x/memory.usage_in_bytes": f"{500 * MIB}\n",
            "sys/fs/cgroup/memory/x/memory.stat": f"total_inactive_file {12 * MIB}\n",
        },
    )

    assert host.cgroup_memory(root) == host.CgroupMemory(512 * MIB, 24 * MIB)


def test_a_path_of_the_host_inside_a_container_falls_back_to_the_mount(tmp_path: Path) -> None:
    root = write(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "4:memory:/docker/0123abcd\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{GIB}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "0\n",
        },
    )

    assert host.memory_total_bytes(root) == GIB


@pytest.mark.parametrize(
    ("cgroup", "file"),
    [
        ("0::/job\n", "sys/fs/cgroup/job/memory.events"),
        ("4:memory:/job\n", "sys/fs/cgroup/memory/job/memory.oom_control"),
    ],
)
def test_kills_for_lack_of_memory_are_counted(tmp_path: Path, cgroup: str, file: str) -> None:
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": cgroup,
            "sys/fs/cgroup/cgroup.controllers": "memory\n",
            file: "oom 5\noom_kill 3\noom_group_kill 1\n",
        },
    )

    assert host.cgroup_oom_kills(root) == 3


def test_nothing_is_known_of_an_empty_machine_and_nothing_is_guessed(tmp_path: Path) -> None:
    assert host.cgroup_memory(tmp_path) is None
    assert host.available_ram_bytes(tmp_path) is None
    assert host.memory_free_bytes(tmp_path) is None
    assert host.cgroup_oom_kills(tmp_path) == 0


def test_a_machine_is_named_without_telling_which_it_is(tmp_path: Path) -> None:
    root = write(tmp_path, {"etc/machine-id": "0123456789abcdef0123456789abcdef\n"})

    name = host.hashed_machine_id(root)

    assert len(name) == 16
    assert name not in "0123456789abcdef0123456789abcdef"
    assert name == host.hashed_machine_id(root)


def test_torch_and_nvml_spell_a_uuid_differently_but_hash_it_alike() -> None:
    bare = "6FA3D1B2-0000-1111-2222-333344445555"

    assert host.hash_uuid(f"GPU-{bare.lower()}") == host.hash_uuid(bare)


def test_the_processor_is_named(tmp_path: Path) -> None:
    root = write(tmp_path, {"proc/cpuinfo": "vendor_id\t: Acme\nmodel name\t: Acme 9000\n"})

    assert (host.cpu_vendor(root), host.cpu_model(root)) == ("Acme", "Acme 9000")
