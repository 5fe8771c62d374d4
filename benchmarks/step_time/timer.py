"""``torch.utils.benchmark`` on one training step, in a process of its own: the peer.

``python -m benchmarks.step_time.timer SPEC CONFIG BATCH`` prints one JSON line. The step is the one
that a probe runs, with all threads (the timer's default is a single one).
"""

from __future__ import annotations

import json
import sys
import time

import torch
from torch.utils.benchmark import Timer

from probes.devices.cpu import CpuBackend
from probes.job import BRACKET_PLAN, ProbeJob, WorkloadRef
from probes.worker.training import Training
from probes.workloads.loading import load_workload


def main(spec: str, config: str, batch_size: str) -> None:
    reference = WorkloadRef(spec)
    job = ProbeJob(reference, json.loads(config), int(batch_size), "cpu", BRACKET_PLAN)
    training = Training(load_workload(reference).workload, job, CpuBackend("cpu"))
    timer = Timer(
        "training.step()",
        timer=time.perf_counter,  # the present one, which stands still in others' turns
        globals={"training": training},
        num_threads=torch.get_num_threads(),
    )
    measured = timer.adaptive_autorange()
    steps = len(measured.times) * measured.number_per_run
    print(json.dumps({"mean_s": measured.mean, "median_s": measured.median, "steps": steps}))


if __name__ == "__main__":
    main(*sys.argv[1:])
