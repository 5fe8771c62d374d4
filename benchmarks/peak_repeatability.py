"""Does the same training step peak at the same memory? With glibc's default allocator settings and
with the ones that Tonnage's CPU workers run with.

The default moves its threshold for mapping memory while the program runs, so that the same batch
needs more or less from run to run; a maximum batch found that way means little.
"""

from __future__ import annotations

import os
import statistics
import sys

from benchmarks.record import write
from probes.devices.environment import worker_environment
from probes.isolation import Timeouts, Worker
from probes.job import BRACKET_PLAN, ProbeJob, WorkloadRef
from probes.measurement import Measurement

RUNS = 6
JOB = ProbeJob(
    WorkloadRef("transformer"),
    {"layers": 4, "width": 128},
    64,
    "cpu",
    BRACKET_PLAN,
    limit_bytes=2 * 2**30,
)
SETTINGS = {"glibc default": {}, "as Tonnage sets it": worker_environment("cpu")}


def peak_mib(environment: dict[str, str]) -> float:
    with Worker(sys.executable, environment) as worker:
        answer = worker.request(JOB.to_dict(), Timeouts())
    assert answer.result is not None, answer.stderr_tail
    measurement = Measurement.from_dict(answer.result["measurement"])
    assert measurement.passed and measurement.peak_bytes, measurement.reason
    return measurement.peak_bytes / 2**20


def main() -> None:
    for name in list(os.environ):
        if name.startswith("MALLOC_") or name == "GLIBC_TUNABLES":
            del os.environ[name]
    peaks: dict[str, list[float]] = {name: [] for name in SETTINGS}
    for _ in range(RUNS):
        for name, environment in SETTINGS.items():
            peaks[name].append(peak_mib(environment))
    result = {}
    for name, values in peaks.items():
        result[name] = {
            "median_mib": round(statistics.median(values), 1),
            "spread_mib": round(max(values) - min(values), 2),
            "runs": RUNS,
        }
        print(
            f"{name:20} {result[name]['median_mib']:8.1f} MiB, spread {result[name]['spread_mib']}"
        )
    print(f"written to {write('peak_repeatability', result)}")


if __name__ == "__main__":
    main()
