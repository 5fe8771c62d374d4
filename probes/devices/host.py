"""What the operating system says about this machine and this process: memory, limits, CPU.

Everything is read from ``/proc`` and ``/sys`` by hand, because the worker has no psutil. Each
function takes the file system's root, so that a test can hand it a made-up machine.
Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

import hashlib
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probes.devices.base import missing

ROOT = Path("/")

UNLIMITED_STACK_BYTES = 2 * 2**20
"""What glibc gives a thread where the main one's stack is unlimited."""

_NO_LIMIT_V1 = 1 << 60
"""cgroup v1 writes "no limit" as a number near 2**63, rounded down to a page."""


@dataclass(frozen=True)
class CgroupMemory:
    """The tightest memory limit among this process's control group and its ancestors. Bytes."""

    limit_bytes: int
    free_bytes: int
    """Limit minus use, page cache that the kernel would give up counted as free."""


def process_status_bytes(name: str, root: Path = ROOT) -> int:
    """A ``kB`` field of ``/proc/self/status`` (``VmPeak``, ``VmSwap``…) in bytes; 0 if absent."""
    return _kib_field(root / "proc/self/status", name) or 0


def address_space_bytes(root: Path = ROOT) -> int:
    """Address space this process has mapped now (``VmSize``). Cheap enough for every step."""
    pages = (root / "proc/self/statm").read_bytes().split(None, 1)[0]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def process_state(pid: int, root: Path = ROOT) -> str:
    """The letter of a process's state, such as ``T`` for stopped; empty where it is not known."""
    try:
        stat = (root / "proc" / str(pid) / "stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[0]


def thread_count(root: Path = ROOT) -> int:
    """Threads of this process, those of native libraries included. Linux."""
    return len(list((root / "proc/self/task").iterdir()))


def thread_stack_bytes() -> int:
    """Address space that a new thread's stack takes."""
    import resource

    soft = resource.getrlimit(resource.RLIMIT_STACK)[0]
    return UNLIMITED_STACK_BYTES if soft == resource.RLIM_INFINITY else soft


def ram_bytes(root: Path = ROOT) -> int:
    """Physical memory of the machine. Raises ``OSError`` where it cannot be read."""
    total = _kib_field(root / "proc/meminfo", "MemTotal")
    if total is not None:
        return total
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError) as error:
        raise OSError(f"the size of the memory cannot be read on {platform.system()}") from error


def available_ram_bytes(root: Path = ROOT) -> int | None:
    """Memory that can be used without swapping (``MemAvailable``); None where unknown."""
    return _kib_field(root / "proc/meminfo", "MemAvailable")


def cgroup_memory(root: Path = ROOT) -> CgroupMemory | None:
    """The memory limit this process runs under; None when there is none.

    A limit anywhere above binds too, so the tightest of all ancestors counts.
    """
    found: CgroupMemory | None = None
    for folder in _memory_cgroups(root):
        limit = _number(folder / "memory.max") or _number(folder / "memory.limit_in_bytes")
        if limit is None or limit >= _NO_LIMIT_V1:
            continue
        used = _number(folder / "memory.current")
        if used is None:
            used = _number(folder / "memory.usage_in_bytes") or 0
        free = max(0, min(limit, limit - used + _reclaimable(folder)))
        found = CgroupMemory(
            limit_bytes=min(limit, found.limit_bytes) if found else limit,
            free_bytes=min(free, found.free_bytes) if found else free,
        )
    return found


def cgroup_oom_kills(root: Path = ROOT) -> int:
    """How often the kernel has killed a process of this control group for lack of memory.

    Read it before and after a child's life: only a rise proves that a SIGKILL was about memory.
    """
    kills = 0
    for folder in _memory_cgroups(root)[:1]:
        for name in ("memory.events", "memory.oom_control"):
            for line in _text(folder / name).splitlines():
                key, _, value = line.partition(" ")
                if key == "oom_kill" and value.strip().isdigit():
                    kills += int(value)
    return kills


def memory_total_bytes(root: Path = ROOT) -> int:
    """What the CPU has as a device: physical memory, or the control group's limit if smaller."""
    cgroup = cgroup_memory(root)
    total = ram_bytes(root)
    return min(total, cgroup.limit_bytes) if cgroup else total


def memory_free_bytes(root: Path = ROOT) -> int | None:
    """What could be used now without swapping or meeting the control group's limit."""
    available, cgroup = available_ram_bytes(root), cgroup_memory(root)
    if cgroup is None:
        return available
    return cgroup.free_bytes if available is None else min(available, cgroup.free_bytes)


def cpu_model(root: Path = ROOT) -> str:
    """The processor's name, or its architecture where the kernel gives none (many Arm boards)."""
    for line in _text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Hardware") and value.strip():
            return value.strip()
    return platform.processor() or platform.machine() or "unknown CPU"


def cpu_vendor(root: Path = ROOT) -> str:
    for line in _text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("vendor_id", "CPU implementer"):
            return value.strip()
    return platform.machine() or "unknown"


def usable_cores() -> int:
    """Logical CPUs this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def hashed_machine_id(root: Path = ROOT) -> str:
    """A stable name for this machine that does not tell which one it is (16 hex digits)."""
    identity = _text(root / "etc/machine-id").strip() or platform.node()
    return hashlib.sha256(f"tonnage:{identity}".encode()).hexdigest()[:16]


def hash_uuid(uuid: str) -> str:
    """A device's UUID, made anonymous (16 hex digits), with or without its ``GPU-`` in front.

    Two sides that know the UUID get the same hash, so NVML and torch can be matched by it.
    """
    bare = uuid.lower().removeprefix("gpu-").removeprefix("mig-")
    return hashlib.sha256(f"tonnage:{bare}".encode()).hexdigest()[:16]


def host_environment(root: Path = ROOT) -> dict[str, Any]:
    """The machine around a device: what else must be alike for step times to compare."""
    cgroup = cgroup_memory(root)
    try:
        ram: Any = ram_bytes(root)
    except OSError as error:
        ram = missing(str(error))
    return {
        "cpu_model": cpu_model(root),
        "cores": usable_cores(),
        "ram_bytes": ram,
        "cgroup_limit_bytes": cgroup.limit_bytes if cgroup else None,
        "os": platform.system(),
        "wsl": "microsoft" in platform.release().lower(),
        "container": (root / ".dockerenv").exists() or (root / "run/.containerenv").exists(),
        "python": platform.python_version(),
    }


def _memory_cgroups(root: Path) -> list[Path]:
    """Folders of this process's memory control group, itself first, then its ancestors."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        number, controllers, path = [*line.split(":", 2), "", ""][:3]
        if "memory" in controllers.split(","):
            return _with_ancestors(root / "sys/fs/cgroup/memory", path)
        if number == "0" and (root / "sys/fs/cgroup/cgroup.controllers").exists():
            return _with_ancestors(root / "sys/fs/cgroup", path)
    return []


def _with_ancestors(mount: Path, path: str) -> list[Path]:
    # In a container the path may be the host's and not exist below the mount; the mount itself
    # is then the container's own group.
    parts = [part for part in path.split("/") if part not in ("", "..")]
    folders = [mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
    return [folder for folder in folders if folder.is_dir()]


def _reclaimable(folder: Path) -> int:
    values = dict(
        line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines() if " " in line
    )
    return int(values.get("total_inactive_file", values.get("inactive_file", "0")))


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _kib_field(path: Path, name: str) -> int | None:
    for line in _text(path).splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


@dataclass(frozen=True)
class FileMappings:
    """What of a process's address space is mapped from files. Bytes."""

    file_bytes: int
    has_torch: bool


_MEMORY_FILES = ("/dev/shm/", "/dev/zero", "/memfd:", "/SYSV")
"""Names of mappings that are memory in spite of having one."""


def file_mappings(maps: str) -> FileMappings:
    """Sum up a ``/proc/PID/maps``: libraries and data that the page cache holds anyway."""
    total, has_torch = 0, False
    for line in maps.splitlines():
        at = line.find("/")
        if at < 0 or line.startswith(_MEMORY_FILES, at):
            continue
        begin, _, end = line[: line.index(" ")].partition("-")
        total += int(end, 16) - int(begin, 16)
        has_torch = has_torch or "libtorch" in line[at:]
    return FileMappings(total, has_torch)


def own_file_mappings(root: Path = ROOT) -> FileMappings:
    """The file mappings of this process."""
    return file_mappings((root / "proc/self/maps").read_text(errors="replace"))
