"""How to lift the constraint that limits a recommendation, with estimates where possible."""

from __future__ import annotations

from typing import Any

from optimizer.budgets import Budget
from optimizer.known import HeuristicOf, PriorOf, nothing_known
from probes.formatting import duration_text, size_text
from probes.measurement import Measurement
from probes.space import Space

MEMORY_LEVERS: dict[str, Any] = {"gradient_checkpointing": True, "precision": "bf16"}
"""Levers that trade something else for memory, in the order in which they are worth trying."""
NOTEWORTHY = 0.95
"""A lever is suggested if it reduces the memory below this fraction."""


def advice(
    binding: str | None,
    run: Measurement,
    budget: Budget,
    space: Space,
    prior_of: PriorOf | None,
    heuristic_of: HeuristicOf = nothing_known,
) -> list[str]:
    """Sentences, the most useful first; an empty list if nothing is known to help.

    Memory that a lever would save is estimated from fake tensors: nothing was run. Behind that
    stands what ``heuristic_of`` says of the lever.
    """
    if binding == "memory" and prior_of is not None:
        return _memory(run, space, prior_of, heuristic_of)
    if binding == "time" and budget.longest_cycle_s is not None:
        return [
            "To lift it, use fewer batches per cycle (cycle_batches), or a budget with a longer "
            f"window than {duration_text(budget.longest_cycle_s)}."
        ]
    if binding == "cap":
        return ["To lift it, raise probe.max_batch in the configuration."]
    return []


def _memory(
    run: Measurement, space: Space, prior_of: PriorOf, heuristic_of: HeuristicOf
) -> list[str]:
    now = prior_of(run.config, run.batch_size)
    if not now.points:
        return []
    found = []
    for lever, value in MEMORY_LEVERS.items():
        if lever in space or lever in run.config:
            continue  # it has been tried, or chosen
        then = prior_of({**run.config, lever: value}, run.batch_size)
        if not then.points:
            continue
        before, after = now.at(run.batch_size), then.at(run.batch_size)
        if after < NOTEWORTHY * before:
            word = str(value).lower()
            line = (
                f"To lift it, try --set {lever}={word}: batch {run.batch_size} should then need "
                f"about {size_text(after)} instead of {size_text(before)} (an estimate; trying it "
                "measures it)."
            )
            found.append(f"{line} {heuristic_of(lever, value)}".rstrip())
    return found
