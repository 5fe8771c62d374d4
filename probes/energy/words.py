"""Energy as people read it."""

from __future__ import annotations

from probes.energy.counter import HOST, THE_DEVICE
from probes.formatting import energy_text
from probes.measurement import Energy, Measurement


def energy_words(energy: Energy | None, unavailable: str) -> str:
    """``0.84 J per sample (NVML counter, ± 2 %), 61 W idle taken off: 0.7 J``, or ``not available,
    because …``; empty where nobody looked."""
    if energy is None:
        return f"not available, because {unavailable}" if unavailable else ""
    whole = ", everything on this host" if energy.scope == HOST else ""
    error = (energy.high_j - energy.low_j) / 2 / energy.energy_j
    words = (
        f"{energy_text(energy.per_sample_j)} per sample ({energy.source}{whole}, ± {error:.1%}); "
        f"{energy_text(energy.per_step_j)} per step, {energy.power_w:.0f} W"
    )
    if energy.above_idle_j is None:
        why = f", because {energy.idle_unavailable}" if energy.idle_unavailable else ""
        return f"{words}; idle power is not taken off{why}"
    above = energy_text(energy.above_idle_j / energy.samples)
    return f"{words}; with {energy.idle_power_w:.0f} W idle taken off, {above} per sample"


def energy_rows(m: Measurement) -> list[tuple[str, str]]:
    """A line for the device, and one for its host where that is told."""
    rows = [("energy", energy_words(m.energy, m.energy_unavailable))]
    if m.host_energy_unavailable != THE_DEVICE:
        rows.append(("host energy", energy_words(m.host_energy, m.host_energy_unavailable)))
    return [(name, words) for name, words in rows if words]
