"""What a few steps cost when the workload's libraries are imported once for all probes, and when
each probe imports them itself.

A B A B on a machine that others use: the ratio is the figure, not the seconds.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from benchmarks.record import write
from probes.job import BRACKET_PLAN, ProbeJob, WorkloadRef
from probes.levers import LEVERS
from probes.measurement import Verdict
from probes.prober import Prober
from probes.space import dimension_from_dict, smallest

PAIRS = 5
BATCH = 8
LIMIT_BYTES = 2**30
EXAMPLES = Path(__file__).parents[1] / "examples"
WORKLOADS = {
    "transformer": "transformer",
    "visnet": "visnet",
    "a transformers Trainer": f"{EXAMPLES / 'trainer_workload.py'}:workload",
    "a Lightning module": f"{EXAMPLES / 'lightning_workload.py'}:workload",
}


def seconds(prober: Prober, job: ProbeJob) -> float:
    measured = prober.probe(job)
    assert measured.verdict is Verdict.STABLE, measured.reason
    return measured.wall_s


def main() -> None:
    result = {}
    for name, spec in WORKLOADS.items():
        workload = WorkloadRef(spec)
        with Prober(sys.executable) as once, Prober(sys.executable) as each:
            space = once.describe(workload)["space"]
            config = smallest(
                {n: dimension_from_dict(d) for n, d in space.items() if n not in LEVERS}
            )
            job = ProbeJob(workload, config, BATCH, "cpu", BRACKET_PLAN, LIMIT_BYTES)
            for prober in (once, each):  # who has described no workload knows no libraries
                seconds(prober, job)
            pairs = [(seconds(once, job), seconds(each, job)) for _ in range(PAIRS)]
        result[name] = {
            "imported_once_s": round(statistics.median(a for a, _ in pairs), 3),
            "imported_by_each_s": round(statistics.median(b for _, b in pairs), 3),
            "ratio": round(statistics.median(b / a for a, b in pairs), 2),
        }
        print(f"{name:24} {result[name]}", flush=True)
    print(f"written to {write('probe_start', result)}")


if __name__ == "__main__":
    main()
