"""Several ranks on real hardware, for ``benchmarks.accelerator``: all accelerators of a kind
together, or one by itself, which shows that the communication library starts and what it holds.

Runs where only torch, psutil and nvidia-ml-py are installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from probes.devices.base import DeviceFacts
from probes.group import Group
from probes.job import BRACKET_PLAN, ProbeJob, StepPlan, WorkloadRef
from probes.max_batch import Ask, Bounds, MaxBatchSearch, run_search
from probes.measurement import Measurement, Purpose, Verdict
from probes.prober import Prober
from probes.self_check import QUICK_CONFIRM

GIB = 2**30
EMULATED_BYTES = 4 * GIB
CONFIG = {"layers": 4, "width": 512}
CPU_RANKS = 2
BATCH = 16
TOO_LARGE = 2**22
WAYS = ("ddp", "fsdp")


def group_for(facts: Sequence[DeviceFacts]) -> Group:
    """All devices of the first one's kind; on the CPU, two ranks that share it."""
    kind = facts[0].kind
    if kind == "cpu":
        return Group(("cpu",) * CPU_RANKS)
    return Group(tuple(each.device for each in facts if each.kind == kind))


def gang_check(prober: Prober, facts: Sequence[DeviceFacts]) -> dict[str, Any]:
    """Each way of training together: it trains, it tells the rank that runs out of memory, it works
    again after that, and a search ends in a confirmed batch."""
    group = group_for(facts)
    limit = min(EMULATED_BYTES, min(each.total_bytes for each in facts) // (2 * group.size))
    found: dict[str, Any] = {"group": group.label, "library": group.library}
    for way in WAYS:
        found[way] = _checked(prober, group, limit, way)
    return found


def _checked(prober: Prober, group: Group, limit_bytes: int, way: str) -> dict[str, Any]:
    def run(batch_size: int, plan: StepPlan) -> Measurement:
        job = ProbeJob(
            WorkloadRef("transformer", {"length": 128}),
            {**CONFIG, "parallel": way},
            batch_size,
            group.label,
            plan,
            limit_bytes=limit_bytes,
            group=group,
        )
        return prober.probe(job)

    def measure(ask: Ask) -> Measurement:
        plan = QUICK_CONFIRM if ask.purpose is Purpose.CONFIRM else BRACKET_PLAN
        return run(ask.batch_size, plan)

    m = run(BATCH, QUICK_CONFIRM)
    assert m.passed, f"{way}: batch {BATCH} gave {m.verdict}: {m.reason}"
    assert len(m.ranks) == group.size, f"{way}: {len(m.ranks)} ranks answered"
    full = run(TOO_LARGE, BRACKET_PLAN)
    assert full.verdict is Verdict.OOM, f"{way}: batch {TOO_LARGE} gave {full.verdict}"
    assert full.limiting_rank is not None, f"{way}: no rank is named: {full.reason}"
    answer = run_search(MaxBatchSearch(Bounds()), measure)
    assert answer.max_batch is not None, f"{way}: no batch found: {answer.reason}"
    return {
        "step_s": m.step_time.mean_s if m.step_time else None,
        "communication_share": m.communication_share,
        "communication_bytes": [each.communication_bytes for each in m.ranks],
        "peak_bytes": [each.peak_bytes for each in m.ranks],
        "wall_s": round(m.wall_s, 1),
        "oom": {"rank": full.limiting_rank, "wall_s": round(full.wall_s, 1)},
        "max_batch": answer.max_batch,
        "probes": answer.probes,
        "notes": m.notes,
    }
