"""When a confirmation that has seen enough goes on all the same: its peak has risen since the first
steps, and there is next to no room left for it to rise further. Pure; standard library only."""

from __future__ import annotations

from probes.devices.base import MemoryCap
from probes.stability import TOLERANCE
from probes.worker.evidence import RunEvidence

LITTLE_ROOM = 0.01
"""Share of the cap."""
LASTING_STEPS = 100
"""Fragmentation by batches that vary was seen to go on for about this many steps (ViSNet)."""


def should_last(evidence: RunEvidence, cap: MemoryCap, peak_bytes: int) -> bool:
    """Whether more steps, up to ``LASTING_STEPS``, must show that the peak stays below the cap."""
    if evidence.measured >= LASTING_STEPS or not evidence.peaks:
        return False
    has_risen = peak_bytes - evidence.peaks[0][1] > TOLERANCE * cap.cap_bytes
    return has_risen and cap.cap_bytes - peak_bytes < LITTLE_ROOM * cap.cap_bytes
