"""Room mapped ahead, so that a process's small change does not blur what its tensors take.

Address space grows in lumps: Python maps 1 MiB for its small objects, glibc moves the end of the
heap by 2 MiB (with huge pages), and whether a run needs one more lump depends on the order of
hashes and addresses in that process. And a tensor is served from the heap instead of a mapping of
its own wherever the imports happened to leave a hole that is large enough. Together that is some
2 MiB of noise in the peak; breaking up the holes and mapping the lumps before the baseline removes
it for small steps (larger ones still vary by a few MiB, see ``benchmarks/cpu_allocators.py``).
The price: a workload's first few MiB of small allocations are not seen in its peak; the headroom
covers them. What it holds *between* steps is told to the byte by ``idle_heap_bytes``, so that a
leak of small pieces shows at once and not only when it has filled that room.

Standard library only. Linux with glibc; elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import functools
import gc
from collections.abc import Callable

from probes.devices.environment import is_glibc

_SLACK_BYTES = 4 * 2**20
_BLOCK_BYTES = 64 * 1024
"""Half the mmap threshold: no allocation that gets its own mapping fits into such a hole."""
_MOST_BLOCKS = 1024
_SMALL_OBJECT_BYTES = 470
"""With its header in the largest class that Python pools, 512 bytes."""


class MallocInfo(ctypes.Structure):
    """``struct mallinfo2`` of glibc 2.33 and later. Bytes and counts."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    ]


def map_slack() -> list[object]:
    """Map room for small allocations. Keep the result alive: it is what keeps the room mapped."""
    gc.collect()  # garbage of the imports, collected later, would lower what is held
    kept: list[object] = []
    if knows_heap():
        kept.append(_break_up_the_heap())
    kept.append(_python_slack())
    return kept


@functools.cache
def knows_heap() -> bool:
    """Whether memory comes from glibc's heap, which can be asked, and not from an allocator that
    was preloaded in its place."""
    if not is_glibc():
        return False
    used, glibcs = (
        ctypes.cast(library.malloc, ctypes.c_void_p).value
        for library in (ctypes.CDLL(None), ctypes.CDLL("libc.so.6"))
    )
    return used == glibcs


def idle_heap_bytes() -> int:
    """What glibc's heap has mapped and not handed out; 0 where it cannot be asked."""
    mallinfo2 = _mallinfo2()
    return int(mallinfo2().fordblks) if mallinfo2 is not None else 0


@functools.cache  # opening the library at every step would be a leak itself
def _mallinfo2() -> Callable[[], MallocInfo] | None:
    mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None) if knows_heap() else None
    if mallinfo2 is not None:
        mallinfo2.restype, mallinfo2.argtypes = MallocInfo, []
    return mallinfo2


def _python_slack() -> list[bytes]:
    blocks = [bytes(_SMALL_OBJECT_BYTES) for _ in range(_SLACK_BYTES // 512)]
    # One survivor in every 256 KiB keeps each of the interpreter's arenas from being unmapped.
    return blocks[::512]


def _break_up_the_heap() -> list[int]:
    """Fill every hole of the heap and let it grow, then free every other block.

    The holes are few and small with the pinned allocator. One that the user has told to keep what
    is freed has tens of MiB of them, in which a model would hide.
    """
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
    first_end = int(libc.sbrk(0) or 0)
    most = _MOST_BLOCKS + idle_heap_bytes() // _BLOCK_BYTES
    blocks: list[int] = []
    while len(blocks) < most:
        block = libc.malloc(_BLOCK_BYTES)
        if not block:
            break
        blocks.append(int(block))
        end = int(libc.sbrk(0) or 0)
        # What is left beyond the last block must be too small to be a hole as well.
        if end - first_end >= 2 * _SLACK_BYTES and 0 < end - int(block) < 3 * _BLOCK_BYTES:
            break
    freed = set(blocks[:-1:2])  # never the last: it holds the end of the heap where it is
    for block in freed:
        libc.free(block)
    return [block for block in blocks if block not in freed]
