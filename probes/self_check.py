"""Does a backend do what it promises? Small real runs on a device, used by ``doctor`` and by the
accelerator check. Runs where only torch, psutil and nvidia-ml-py are installed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from probes.errors import MeasurementError
from probes.formatting import MIB, duration_text, size_text
from probes.job import BRACKET_PLAN, CONFIRM_PLAN, ProbeJob, StepPlan, WorkloadRef
from probes.measurement import Measurement, Verdict
from probes.prober import Prober

QUICK_CONFIRM = replace(
    CONFIRM_PLAN, measure_budget_s=2.0, least_measure_s=0.0, half_width=0.05, max_measure_steps=60
)
SMALL = {"layers": 2, "width": 128}
REPEATS_WITHIN = 0.01
"""Fraction of the memory cap by which two equal runs may differ."""
LEAK_WITHIN = 0.1
SMALL_BUDGET = {"cpu": 512 * MIB}
"""A memory budget where filling the whole device would be rude; elsewhere the device's own."""


def run(
    prober: Prober, device: str, batch_size: int, plan: StepPlan, leak_mib: int = 0
) -> Measurement:
    """One probe of the built-in transformer."""
    limit_bytes = SMALL_BUDGET.get(device.partition(":")[0])
    workload = WorkloadRef("transformer", {"leak_mib": leak_mib} if leak_mib else {})
    job = ProbeJob(workload, dict(SMALL), batch_size, device, plan, limit_bytes=limit_bytes)
    return prober.probe(job)


def trains(prober: Prober, device: str) -> str:
    """A small model trains, its loss falls and its step time is measured."""
    m = run(prober, device, 16, QUICK_CONFIRM)
    if not m.passed or m.step_time is None:
        raise MeasurementError(f"batch 16 gave {m.verdict}: {m.reason}")
    if m.first_loss is None or m.last_loss is None or m.last_loss >= m.first_loss:
        raise MeasurementError(f"the loss did not fall: {m.first_loss} to {m.last_loss}")
    return (
        f"{m.steps} steps, {duration_text(m.step_time.mean_s)} each, peak {size_text(m.peak_bytes)}"
    )


def memory_repeats(prober: Prober, device: str) -> str:
    """The same step peaks at the same memory twice: otherwise no maximum batch means anything."""
    runs = [run(prober, device, 32, BRACKET_PLAN) for _ in range(2)]
    peaks = [m.peak_bytes or 0 for m in runs]
    allowed = REPEATS_WITHIN * (runs[0].cap_bytes or 0)
    if not min(peaks) or abs(peaks[0] - peaks[1]) > allowed:
        raise MeasurementError(f"two equal runs peaked at {peaks[0]} and {peaks[1]} bytes")
    return f"{size_text(peaks[0])} and {size_text(peaks[1])}"


def recovers_from_oom(prober: Prober, device: str) -> str:
    """Far too large a batch is told as out of memory, and the next probe works again."""
    m = run(prober, device, 2**22, BRACKET_PLAN)
    if m.verdict is not Verdict.OOM:
        raise MeasurementError(f"batch {2**22} gave {m.verdict} instead of oom: {m.reason}")
    after = run(prober, device, 8, BRACKET_PLAN)
    if not after.passed:
        raise MeasurementError(f"after it, batch 8 gave {after.verdict}: {after.reason}")
    return "recognised, and the next probe passed"


def sees_a_leak(prober: Prober, device: str) -> str:
    """A run that keeps a little more memory with every step is not called stable."""
    leak_mib = 1 if device == "cpu" else 16
    m = run(prober, device, 8, QUICK_CONFIRM, leak_mib)
    if m.verdict is not Verdict.LEAK or m.growth is None:
        raise MeasurementError(f"{leak_mib} MiB per step gave {m.verdict}: {m.reason}")
    seen_mib = m.growth.bytes_per_step / MIB
    if abs(seen_mib / leak_mib - 1) > LEAK_WITHIN:
        raise MeasurementError(f"{leak_mib} MiB per step were taken for {seen_mib:.1f}")
    return m.reason


DeviceCheck = Callable[[Prober, str], str]
DEVICE_CHECKS: dict[str, DeviceCheck] = {
    "trains": trains,
    "memory repeats": memory_repeats,
    "recovers from out of memory": recovers_from_oom,
    "sees a leak": sees_a_leak,
}
