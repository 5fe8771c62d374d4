"""The search within a window, and after it the most capable model that still fits the window."""

from __future__ import annotations

from optimizer.disturbed import in_doubt
from optimizer.forecaster import Forecaster
from optimizer.largest import LargestModel
from optimizer.records import Key, Trial, config_key
from optimizer.state import SearchState
from optimizer.stopping import LEAST_CHANCE
from optimizer.strategies import Proposal, Strategy
from probes.doubt import is_too_slow
from probes.measurement import Config

EXTRA_TRIALS = 4
"""Configs that may be tested for this in addition to the trials of the budget."""


class ThenMostCapable:
    """Continues a search within a window until the most capable model is settled too.

    When ``search`` has nothing left to propose, more capable configs are tested: a few steps with
    the smallest batch, in the order of ``LargestModel``. The most capable one that passes is then
    measured to its end, so that it has a confirmed maximum batch. If that shows that it does not
    fit after all, the next most capable follows.

    What it proposes is a function of the study's trials and measurements alone.

    Example::

        search = ThenMostCapable(ThroughputSearch(...), state, forecaster)
        while (proposal := search.ask()) is not None:
            search.tell(settle(proposal))
    """

    def __init__(self, search: Strategy, state: SearchState, forecaster: Forecaster) -> None:
        self._search = search
        self._state = state
        self._forecaster = forecaster

    def tell(self, trial: Trial) -> None:
        self._search.tell(trial)

    def ask(self) -> Proposal | None:
        """As ``Strategy``. More capable configs are proposed one by one, when no other process
        works on the study: each test depends on the one before, and a test must not take a config
        away that the search may still want to measure."""
        proposal = self._search.ask()
        if proposal is not None or self._state.busy or self._state.selected() is None:
            return proposal
        state, capacity = self._state, self._state.capacities.capacity
        lattice = self._lattice()
        if len(state.settled) < state.budget.trials + EXTRA_TRIALS:
            chances = chances_to_fit(state, self._forecaster)
            config = lattice.ask(lambda config: chances.get(config_key(config), 0.5))
            if config is not None:
                return Proposal(config, fully=False)
        largest = lattice.result()
        if largest is None or capacity(largest) <= confirmed_capacity(state):
            return None
        return Proposal(largest, keep=True)

    def _lattice(self) -> LargestModel:
        """Every config that can be built, and what is known of it."""
        state = self._state
        configs = [c for c in state.configs if config_key(c) not in state.capacities.unbuildable]
        capacities = [state.capacities.capacity(config) for config in configs]
        lattice = LargestModel(state.spec.space, configs, capacities)
        chances = chances_to_fit(state, self._forecaster)
        for config in configs:
            trial = state.settled.get(config_key(config))
            if trial is None or trial.state == "screened":
                if has_passed(state, config):
                    lattice.tell(config, fits=True)
                elif chances.get(config_key(config), 1.0) < LEAST_CHANCE:
                    lattice.skip(config)
            elif trial.state == "feasible":
                lattice.tell(config, fits=True)
            elif trial.state == "infeasible" and self._is_certain(trial):
                lattice.tell(config, fits=False)
            else:
                lattice.skip(config)
        return lattice

    def _is_certain(self, trial: Trial) -> bool:
        state = self._state
        doubts = in_doubt(trial, state.runs(), state.budget.longest_step_s)
        return state.accept_disturbed or not doubts


def has_passed(state: SearchState, config: Config) -> bool:
    """Whether any run of a config passed within the window."""
    longest_step_s = state.budget.longest_step_s
    return any(
        run.config == config and run.passed and not is_too_slow(run, longest_step_s)
        for run in state.measurements
    )


def confirmed_capacity(state: SearchState) -> float:
    """The capacity of the most capable config with a confirmed maximum batch."""
    feasible = (trial.config for trial in state.settled.values() if trial.state == "feasible")
    return max(map(state.capacities.capacity, feasible), default=float("-inf"))


def chances_to_fit(state: SearchState, forecaster: Forecaster) -> dict[Key, float]:
    """The chance of each more capable config to fit with its smallest batch; an empty dict while
    too little is known."""
    found = forecaster.forecasts(_more_capable(state))
    return {config_key(forecast.config): forecast.fits for forecast in found}


def likely_more_capable(state: SearchState, forecaster: Forecaster) -> list[Config]:
    """Configs more capable than every confirmed one that may fit: nothing that was measured or
    predicted says otherwise."""
    found = _more_capable(state)
    chances = chances_to_fit(state, forecaster) if forecaster.learns else {}
    return [c for c in found if chances.get(config_key(c), 1.0) >= LEAST_CHANCE]


def _more_capable(state: SearchState) -> list[Config]:
    """Configs that are more capable than every confirmed one, and of which no measurement shows
    that they do not fit."""
    least = confirmed_capacity(state)
    return [
        config
        for config in state.configs
        if state.capacities.capacity(config) > least
        and state.state_of(config) in ("", "screened")
        and config_key(config) not in state.capacities.unbuildable
        and state.witness(config) is None
    ]
