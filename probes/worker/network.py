"""Times an all-reduce between the ranks of a gang, as one of them. In the worker."""

from __future__ import annotations

import statistics
import time
from typing import Any

import torch

from probes.devices import backend_for
from probes.group import Group
from probes.ranks import team

SMALL_TIMES, LARGE_TIMES = 20, 5
WARM_UP = 2
LARGE_BYTES = {"cpu": 2**24}
"""Of a kind of device; a GPU's network needs more to be filled."""
USUAL_LARGE_BYTES = 2**26


def measure_network(job: dict[str, Any]) -> dict[str, Any]:
    """Median times of a large and of a small all-reduce, in seconds, and the large one's size in
    bytes. ``job`` has the ``group``, the ``rank`` and the ``meeting`` (see ``team.join``).

    Raises ``MeasurementError`` where the ranks cannot meet.
    """
    import torch.distributed as dist

    group, rank = Group.from_dict(job["group"]), int(job["rank"])
    team.preload(group)
    backend = backend_for(group.devices[rank])
    backend.initialise()
    joined = team.join(group, rank, 1, job["meeting"], backend.torch_device)
    size_bytes = LARGE_BYTES.get(group.kind, USUAL_LARGE_BYTES)

    def timed(count: int, times: int) -> float:
        """The median over ``times`` of an all-reduce of that many numbers."""
        numbers = torch.ones(count, device=backend.torch_device)
        taken_s = []
        for _ in range(WARM_UP + times):
            joined.wait()
            began_s = time.perf_counter()
            dist.all_reduce(numbers, op=dist.ReduceOp.MAX)
            backend.synchronize()
            taken_s.append(time.perf_counter() - began_s)
        return statistics.median(taken_s[WARM_UP:])

    small_s = timed(1, SMALL_TIMES)
    large_s = timed(size_bytes // 4, LARGE_TIMES)
    joined.wait()  # one that leaves early looks like one that died
    return {"small_s": small_s, "large_s": large_s, "size_bytes": size_bytes}
