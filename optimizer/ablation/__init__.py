"""Ablations: does one change do here what a claim says? Measured in paired, interleaved probes.

``run`` answers questions on a bench. The bench is given: real probes, or scripted ones in tests.
"""

from optimizer.ablation.bench import AblationEvent, Bench, Place, Report
from optimizer.ablation.evidence import ClaimVerdict, Ending, Evidence
from optimizer.ablation.limits import AblationLimits
from optimizer.ablation.question import Arm, At, Quantity, Question, arms
from optimizer.ablation.run import run

__all__ = [
    "AblationEvent",
    "AblationLimits",
    "Arm",
    "At",
    "Bench",
    "ClaimVerdict",
    "Ending",
    "Evidence",
    "Place",
    "Quantity",
    "Question",
    "Report",
    "arms",
    "run",
]
