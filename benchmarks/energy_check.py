"""The energy part of ``make gpu-check``: what the sensors of a device tell, and its power limit.

Nothing is changed unless ``--change-power-limit`` is given: then the limit is lowered by a tenth
for a moment, as root, and has to be what it was afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from probes.devices.base import DeviceFacts
from probes.devices.nvml import NvmlDevice
from probes.devices.reading import Missing
from probes.devices.telemetry import Telemetry
from probes.energy.power_limit import PowerLimit
from probes.errors import MeasurementError
from probes.job import CONFIRM_PLAN, ProbeJob
from probes.prober import Prober

LONG = replace(
    CONFIRM_PLAN,
    phases=False,
    max_measure_steps=5000,
    least_measure_s=5.0,
    measure_budget_s=8.0,
)
"""Long enough for a sensor that is updated ten times a second."""
AGREES_WITHIN = 0.1
"""Two measurements of the same steps, one after the other."""


def energy_check(prober: Prober, telemetry: Telemetry, job: ProbeJob) -> dict[str, Any]:
    """The same training twice. A device without a sensor says why, which is no failure; one with a
    sensor must tell the same energy twice, and a power that the driver agrees with."""
    runs = [prober.probe(replace(job, plan=LONG), telemetry) for _ in range(2)]
    for run in runs:
        assert run.passed, f"{run.verdict}: {run.reason}"
    first, second = (run.energy for run in runs)
    host = runs[0].host_energy
    found: dict[str, Any] = {
        "host": host.to_dict() if host is not None else runs[0].host_energy_unavailable,
        "power_limit": power_limit(telemetry.facts),
    }
    if first is None or second is None:
        return {**found, "not_available": runs[0].energy_unavailable or runs[1].energy_unavailable}
    found["runs"] = [first.to_dict(), second.to_dict()]
    found["power_w"] = [first.power_w, second.power_w]
    found["driver_mean_power_w"] = [run.state.get("mean_power_w") for run in runs]
    found["tainted"] = [*runs[0].tainted, *runs[1].tainted]
    if not found["tainted"]:
        ratio = second.per_sample_j / first.per_sample_j
        assert abs(ratio - 1) < AGREES_WITHIN, f"two runs differ by {ratio - 1:+.1%}: {found}"
    assert first.idle_power_w is None or first.idle_power_w < first.power_w, found
    return found


def power_limit(facts: DeviceFacts) -> dict[str, Any]:
    """The limit that is set and the range that it can have, or why they are not told."""
    if facts.kind != "cuda":
        return {"not_available": "only NVIDIA devices have one that can be set"}
    device = NvmlDevice.find(str(facts.identity.get("uuid")))
    if isinstance(device, Missing):
        return {"not_available": device.reason}
    limit, ends = device.power_limit_mw, device.power_limit_range_mw
    return {
        "limit_mw": limit.reason if isinstance(limit, Missing) else limit,
        "range_mw": ends.reason if isinstance(ends, Missing) else list(ends),
    }


def power_limit_check(facts: DeviceFacts) -> dict[str, Any]:
    """Lower the limit by a tenth and give it back. A refusal is no failure."""
    try:
        with PowerLimit(facts) as limit:
            lower_w = max(limit.least_w, round(0.9 * limit.usual_w))
            limit.set(lower_w)
            usual_w = limit.usual_w
    except MeasurementError as error:
        return {"refused": str(error)}
    after = power_limit(facts)
    assert after["limit_mw"] == round(usual_w * 1000), f"the limit was not given back: {after}"
    return {"usual_w": usual_w, "lowered_to_w": lower_w, "afterwards": after}
