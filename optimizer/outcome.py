"""How a study ended: with a recommendation, or with the reasons why there is none."""

from __future__ import annotations

from dataclasses import dataclass

from optimizer import no_answer
from optimizer.advice import advice
from optimizer.budgets import Objective
from optimizer.known import HeuristicOf, PriorOf, nothing_known
from optimizer.recommend import Coverage, recommendation
from optimizer.records import Recommendation
from optimizer.state import SearchState
from optimizer.stopping import Stopping
from optimizer.strategies.capacity_search import is_above_cap
from probes.space import size

UNBUILDABLE_SHOWN = 3
"""At most this many configs that cannot be built are named."""


@dataclass(frozen=True)
class Outcome:
    """A recommendation, or the reasons why there is none."""

    recommendation: Recommendation | None
    reasons: list[str]
    measured: bool
    """Whether the reasons are about the configs (not crashes, time-outs or a busy machine)."""


def outcome_of(
    study_id: str,
    state: SearchState,
    stopping: Stopping,
    *,
    prior_of: PriorOf | None = None,
    heuristic_of: HeuristicOf = nothing_known,
    probes_saved: int = 0,
    more_capable: int = 0,
) -> Outcome:
    """Choose from what was measured, and explain the choice.

    ``prior_of`` estimates what a lever would save, and ``heuristic_of`` says what is claimed of it;
    ``probes_saved`` and ``more_capable`` (see ``Coverage``) are reported as they are.
    """
    selected = state.selected()
    left_out, stopped = _left_out(state), [stopping.reason] if stopping.reason else []
    settled = list(state.settled.values())
    if selected is None:
        if disturbed := state.in_doubt():
            return Outcome(None, no_answer.why_disturbed(disturbed), measured=False)
        nothing = no_answer.why_nothing(settled, state.runs(), state.budget)
        reasons = [*stopped, *left_out, *nothing]
        return Outcome(None, reasons, any(t.state == "infeasible" for t in settled))
    best = selected.best
    unsettled = [config for config in state.configs if not state.state_of(config)]
    found = recommendation(
        state.spec,
        study_id,
        selected,
        settled,
        state.runs(),
        Coverage(
            configs=size(state.spec.space),
            probes=len(state.measurements),
            probes_saved=probes_saved,
            pruned=[(c, w) for c in unsettled if (w := state.witness(c)) is not None],
            timed_out=stopping.timed_out,
            more_capable=more_capable,
            notes=[
                *advice(
                    best.trial.binding,
                    best.run,
                    state.budget,
                    state.spec.space,
                    prior_of,
                    heuristic_of,
                ),
                *left_out,
                *stopped,
            ],
            grades=state.store.grades(),
        ),
    )
    return Outcome(found, [], True)


def _left_out(state: SearchState) -> list[str]:
    """Which configs were no candidates at all, in words."""
    lines = []
    above = sum(is_above_cap(state, config) for config in state.configs)
    if above and state.budget.objective is Objective.CAPACITY:
        lines.append(
            f"{above} of {len(state.configs)} configs have more than "
            f"{state.spec.max_parameters:,} parameters, which is the most that makes sense for "
            f"{state.spec.dataset_size or 'the'} samples (parameter_caps in the configuration)."
        )
    for key, reason in list(state.capacities.unbuildable.items())[:UNBUILDABLE_SHOWN]:
        lines.append(f"{' '.join(f'{n}={v}' for n, v in key)} cannot be built: {reason}")
    return lines
