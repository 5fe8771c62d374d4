"""One search by one method, under the hard limit. The last line of stdout is the answer, JSON.

A method that raises is an answer too; a process that dies leaves none, and its parent says so.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
import traceback
from typing import Any

from benchmarks.max_batch.peers import METHODS
from benchmarks.max_batch.peers.trainee import Counter, Rehearsal, Trainee
from probes.devices import backend_for
from probes.job import WorkloadRef
from probes.workloads.loading import load_workload


def main() -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.max_batch.peers", description=__doc__)
    parser.add_argument("method", choices=METHODS)
    parser.add_argument("--workload", required=True, help="as the tonnage command takes it")
    parser.add_argument("--options", type=json.loads, default={}, help="of the workload, JSON")
    parser.add_argument("--config", type=json.loads, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cap-bytes", type=int, required=True)
    asked = parser.parse_args()

    module, _, function = METHODS[asked.method].partition(":")
    search = getattr(importlib.import_module(f"benchmarks.max_batch.peers.{module}"), function)
    began_s = time.perf_counter()
    search(Trainee(Rehearsal(), {}, asked.device))
    rehearsal_s = time.perf_counter() - began_s

    workload = Counter(load_workload(WorkloadRef(asked.workload, asked.options)).workload)
    backend = backend_for(asked.device)
    backend.initialise()
    cap = backend.apply_cap(asked.cap_bytes, 0.0)
    if cap.cap_bytes != asked.cap_bytes:
        sys.exit(f"the limit could not be set: {'; '.join(cap.notes)}")
    answer: dict[str, Any] = {"found": None, "error": "", "rehearsal_s": rehearsal_s}
    try:
        answer["found"] = search(Trainee(workload, asked.config, asked.device))
    except Exception as error:
        backend.lift_cap()  # to report takes memory too
        traceback.print_exc()
        answer["error"] = f"{type(error).__name__}: {error}".partition("\n")[0][:300]
    backend.lift_cap()
    answer |= {"steps": workload.steps, "samples": workload.samples}
    print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
