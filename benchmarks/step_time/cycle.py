"""A whole training cycle, as a user's own loop runs it: what step times are graded against.

``python -m benchmarks.step_time.cycle CLASS CONFIG BATCH STEPS`` prints one JSON line. Nothing of
Tonnage takes part but the optimizer that a workload without one of its own is measured with. The
time is that of all steps, the slow first ones included.
"""

from __future__ import annotations

import json
import sys
import time

import torch

from benchmarks import workloads
from benchmarks.interleaving import in_turns
from probes.workloads.interface import default_optimizer


def main(name: str, config: str, batch_size: str, steps: str) -> None:
    torch.manual_seed(0)
    workload = getattr(workloads, name)()
    model = workload.model(json.loads(config)).train()
    optimizer = default_optimizer(model)
    batches = in_turns(workload.data(json.loads(config), int(batch_size)))
    next(batches)  # waits for the others, who have to build their models yet
    began_s = time.perf_counter()
    for _ in range(int(steps)):
        optimizer.zero_grad(set_to_none=True)
        workload.loss(model, next(batches)).backward()
        optimizer.step()
    print(json.dumps({"mean_s": (time.perf_counter() - began_s) / int(steps)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
