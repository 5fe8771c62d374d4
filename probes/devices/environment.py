"""Environment variables that decide how a worker's allocators behave.

An allocator reads them once, when the process starts, so they belong to whoever starts the
worker; and a recommendation holds only where the training runs under the same ones, so they
travel with it. Standard library only, Python 3.10 syntax.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from probes.devices import host
from probes.group import Group

_FIXED_THRESHOLD = "131072"

_CPU_GLIBC = {
    # glibc raises its mmap threshold as a program frees large blocks, so that which blocks are
    # given back depends on history: the peak of one and the same step then varies by 10 %.
    # Naming the thresholds switches that off.
    "MALLOC_MMAP_THRESHOLD_": _FIXED_THRESHOLD,
    "MALLOC_TRIM_THRESHOLD_": _FIXED_THRESHOLD,
    # Every further arena reserves 64 to 128 MiB of address space the moment a thread first
    # allocates. That is not memory, but a limit on address space counts it.
    "MALLOC_ARENA_MAX": "1",
    # mimalloc reserves 1 GiB of address space with its first allocation, in KiB here. It is in
    # pyarrow, which Hugging Face's datasets and thereby its trainers import.
    "MIMALLOC_ARENA_RESERVE": "65536",
}

# Returning every large block costs page faults; huge pages win most of that time back.
_CPU_TUNABLE = "glibc.malloc.hugetlb=1"

# Segments that grow in place fragment far less where batches vary in size. The second name is the
# one that torch before 2.9 knows.
_CUDA = {
    "PYTORCH_ALLOC_CONF": "expandable_segments:True",
    "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
}

# What torch remembers of each collective, 2,000 of them, looks like a leak until it is full.
_RANKS = {"TORCH_FR_BUFFER_SIZE": "0"}

_ALLOCATOR_NAMES = (
    "GLIBC_TUNABLES",
    "LD_PRELOAD",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_HIP_ALLOC_CONF",
    "PYTORCH_MPS_HIGH_WATERMARK_RATIO",
    "PYTORCH_MPS_LOW_WATERMARK_RATIO",
    "PYTORCH_NO_CUDA_MEMORY_CACHING",
    "OMP_NUM_THREADS",
)


def worker_environment(kind: str, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables to add to a worker's environment, for a device of this kind.

    Use as ``{**os.environ, **worker_environment(kind)}``. What the user has set already wins;
    ``GLIBC_TUNABLES`` is appended to. Empty where there is nothing to decide: MPS, XPU, and a CPU
    whose C library is not glibc.
    """
    environ = os.environ if environ is None else environ
    if kind == "cuda":
        return {} if any(name in environ for name in _CUDA) else dict(_CUDA)
    if kind != "cpu" or not is_glibc():
        return {}
    added = {name: value for name, value in _CPU_GLIBC.items() if name not in environ}
    tunables = environ.get("GLIBC_TUNABLES", "")
    if "glibc.malloc.hugetlb=" not in tunables:
        added["GLIBC_TUNABLES"] = f"{tunables}:{_CPU_TUNABLE}" if tunables else _CPU_TUNABLE
    return added


def ranks_environment(
    kind: str, ranks: int, cores: int, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Variables to add where several ranks train on this machine, for devices of this kind: ranks
    on the CPU share the cores, as torchrun's do not. What the user has set already wins."""
    environ = os.environ if environ is None else environ
    added = dict(_RANKS)
    if kind == "cpu":
        added["OMP_NUM_THREADS"] = str(max(1, cores // ranks))
    return {name: value for name, value in added.items() if name not in environ}


def group_environment(group: Group) -> dict[str, str]:
    """``ranks_environment`` for the ranks of a group that are on this machine."""
    here = group.per_host
    cores = group.threads * here if group.threads else host.usable_cores()
    return ranks_environment(group.kind, here, cores)


def process_environment(added: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of a process that trains: the user's own, what makes its output and
    its crashes visible, and ``added``."""
    environ = dict(os.environ)
    environ.pop("PYTHONHOME", None)
    environ.setdefault("PYTHONUNBUFFERED", "1")
    environ.setdefault("PYTHONFAULTHANDLER", "1")
    environ.update(added)
    return environ


def allocator_settings(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of an environment that must be the same for a measured peak to hold."""
    environ = os.environ if environ is None else environ
    return {
        name: environ[name]
        for name in sorted(environ)
        if name in _ALLOCATOR_NAMES or name.startswith("MALLOC_")
    }


def is_glibc() -> bool:
    """Whether this process runs on glibc, whose allocator the settings here are for."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        return (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (ValueError, OSError):  # musl does not know the name
        return False
