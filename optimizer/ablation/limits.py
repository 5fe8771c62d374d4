"""How long an ablation may go on, and how long its probes are."""

from __future__ import annotations

from dataclasses import dataclass, replace

from probes.job import BRACKET_PLAN, StepPlan
from probes.measurement import Purpose

LOOK_PLAN = replace(BRACKET_PLAN, phases=False)
"""Whether a side runs at a batch at all. The first process of each side is also the slow one."""

PAIR_PLAN = StepPlan(
    purpose=Purpose.BRACKET,
    warmup_steps=3,
    max_warmup_steps=6,
    measure_steps=6,
    max_measure_steps=80,
    measure_budget_s=3.0,
    least_measure_s=1.0,
    half_width=0.02,
    phases=False,
)
"""One side of a pair. Short, because what differs is mostly the process and not the step: several
short ones tell more than one long one."""

SEARCH_PLANS = {
    Purpose.BRACKET: LOOK_PLAN,
    Purpose.CONFIRM: replace(
        LOOK_PLAN, purpose=Purpose.CONFIRM, measure_steps=4, max_measure_steps=8
    ),
}
"""Probes of the search for a maximum batch. Nothing is recommended by it, so its confirmation is no
full one: a failing batch just above it is what counts."""


@dataclass(frozen=True)
class AblationLimits:
    """When to stop although the answer is not clear."""

    max_pairs: int = 12
    """Pairs of probes. An even number: they come in blocks of two."""
    max_seeds: int = 6
    """Pairs of trainings, for claims about loss and outputs."""
    budget_s: float = 240.0
    """Of one experiment; the run that is under way is finished."""
    train_steps: int = 60
    """Optimizer steps of a training whose loss is compared."""
    max_batch: int = 4096
    """Largest batch that is considered."""
