"""Room mapped ahead, so that a process's small change does not blur what its tensors take.

Address space grows in lumps: Python maps 1 MiB for its small objects, glibc moves the end of the
heap by 2 MiB (with huge pages), and whether a run needs one more lump depends on the order of
hashes and addresses in that process. And a tensor is served from the heap instead of a mapping of
its own wherever the imports happened to leave a hole that is large enough. Together that is some
2 MiB of noise in the peak; breaking up the holes and mapping the lumps before the baseline removes
it for small steps (larger ones still vary by a few MiB, see ``benchmarks/cpu_allocators.py``).
The price: a workload's first few MiB of small allocations are not seen; the headroom covers them.

Standard library only. Linux with glibc; elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import gc

from probes.devices.environment import is_glibc

_SLACK_BYTES = 4 * 2**20
_BLOCK_BYTES = 64 * 1024
"""Half the mmap threshold: no allocation that gets its own mapping fits into such a hole."""
_MOST_BLOCKS = 1024
_SMALL_OBJECT_BYTES = 470
"""With its header in the largest class that Python pools, 512 bytes."""


def map_slack() -> list[object]:
    """Map room for small allocations. Keep the result alive: it is what keeps the room mapped."""
    gc.collect()  # garbage of the imports, collected later, would lower what is held
    kept: list[object] = []
    if is_glibc():
        kept.append(_break_up_the_heap())
    kept.append(_python_slack())
    return kept


def _python_slack() -> list[bytes]:
    blocks = [bytes(_SMALL_OBJECT_BYTES) for _ in range(_SLACK_BYTES // 512)]
    # One survivor in every 256 KiB keeps each of the interpreter's arenas from being unmapped.
    return blocks[::512]


def _break_up_the_heap() -> list[int]:
    """Fill every hole of the heap and let it grow, then free every other block."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    libc.free.restype, libc.free.argtypes = None, [ctypes.c_void_p]
    libc.sbrk.restype, libc.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
    first_end = int(libc.sbrk(0) or 0)
    blocks: list[int] = []
    while len(blocks) < _MOST_BLOCKS:
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
