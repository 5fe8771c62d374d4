"""Which allocator should a CPU worker run with? Peak of one training step, how well it repeats, and
what it costs in time, for glibc's default, what Tonnage sets, and tcmalloc where it is installed.

glibc's default moves its threshold for mapping memory while the program runs, so that the same
batch needs more or less from run to run; a maximum batch found that way means little.
"""

from __future__ import annotations

import ctypes.util
import os
import statistics
import sys
from dataclasses import replace

from benchmarks.max_batch.cases import MIB, WORKLOADS
from benchmarks.record import write
from probes.devices.environment import worker_environment
from probes.isolation import Worker
from probes.job import BRACKET_PLAN, ProbeJob, WorkloadRef
from probes.measurement import Measurement
from probes.timeouts import Timeouts

RUNS = 5
PLAN = replace(BRACKET_PLAN, measure_steps=6, max_measure_steps=6)
JOBS = {
    "transformer": ("Transformer", {"layers": 2, "width": 64}, 64),
    "conv": ("ConvNet", {"channels": 16}, 128),
    "mlp": ("ResidualMLP", {"blocks": 24, "width": 128}, 512),
}
KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(32 * MIB), "MALLOC_TRIM_THRESHOLD_": str(2**40)}
"""The largest that glibc takes: all but the largest comes from the heap, and none is given back."""


def settings() -> dict[str, dict[str, str]]:
    """Environments to compare, by name."""
    ours = worker_environment("cpu")
    found = {
        "glibc default": {},
        "pinned, no huge pages": {k: v for k, v in ours.items() if k != "GLIBC_TUNABLES"},
        "as Tonnage sets it": ours,
        "told to keep what is freed": {**ours, **KEEPING},
    }
    library = ctypes.util.find_library("tcmalloc_minimal")
    if library is not None:
        found["tcmalloc preloaded"] = {**ours, "LD_PRELOAD": library}
    return found


def run(environment: dict[str, str], workload: str) -> tuple[float, float]:
    """Peak in MiB and median step time in seconds, in a worker of its own."""
    name, config, batch_size = JOBS[workload]
    reference = WorkloadRef(f"{WORKLOADS}:{name}")
    job = ProbeJob(reference, config, batch_size, "cpu", PLAN, limit_bytes=2 * 2**30)
    with Worker(sys.executable, environment) as worker:
        answer = worker.request(job.to_dict(), Timeouts())
    assert answer.result is not None, answer.stderr_tail
    m = Measurement.from_dict(answer.result["measurement"])
    assert m.passed and m.peak_bytes and m.step_time, m.reason
    return m.peak_bytes / MIB, m.step_time.median_s


def main() -> None:
    for name in list(os.environ):
        if name.startswith("MALLOC_") or name in ("GLIBC_TUNABLES", "LD_PRELOAD"):
            del os.environ[name]
    result = {workload: compared(workload) for workload in JOBS}
    print(f"written to {write('cpu_allocators', result)}")


def compared(workload: str) -> dict[str, dict[str, float]]:
    """All settings in turns; prints a line for each."""
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in settings()}
    for _ in range(RUNS):
        for name, environment in settings().items():
            runs[name].append(run(environment, workload))
    default_s = statistics.median(step_s for _, step_s in runs["glibc default"])
    result = {}
    for name, found in runs.items():
        peaks = [peak for peak, _ in found]
        step_s = statistics.median(step_s for _, step_s in found)
        result[name] = {
            "peak_median_mib": round(statistics.median(peaks), 1),
            "peak_spread_mib": round(max(peaks) - min(peaks), 2),
            "step_time_ratio": round(step_s / default_s, 3),
            "runs": RUNS,
        }
        print(
            f"{workload:12} {name:28} {result[name]['peak_median_mib']:7.1f} MiB, "
            f"spread {result[name]['peak_spread_mib']:5.2f}, "
            f"step {result[name]['step_time_ratio']:.2f} x the default's",
            flush=True,
        )
    return result


if __name__ == "__main__":
    main()
