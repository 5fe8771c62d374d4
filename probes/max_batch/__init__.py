"""The search for the maximum stable batch: ask for a probe, tell the measurement. Pure.

``search`` decides what to probe next, from what is ``known``; ``late_search`` does once long runs
fail where short ones pass, from what a ``late_failure`` tells; ``bounds`` limit the answer, and
``result`` explains it. Standard library only, Python 3.10 syntax: a worker imports it.
"""

from probes.max_batch.bounds import DEFAULT_CAP, Bounds
from probes.max_batch.search import (
    DEFAULT_START,
    LARGEST_JUMP,
    MAX_PROBES,
    PROBE_AT,
    Ask,
    MaxBatchSearch,
    run_search,
)

__all__ = [
    "DEFAULT_CAP",
    "DEFAULT_START",
    "LARGEST_JUMP",
    "MAX_PROBES",
    "PROBE_AT",
    "Ask",
    "Bounds",
    "MaxBatchSearch",
    "run_search",
]
