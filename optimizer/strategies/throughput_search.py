"""The search within a window: the config with the highest throughput."""

from __future__ import annotations

from collections.abc import Sequence

from optimizer.forecaster import Forecaster
from optimizer.proposals import Proposals
from optimizer.records import Key, Trial, config_key
from optimizer.spaces import contains
from optimizer.state import SearchState
from optimizer.stopping import Stopping
from optimizer.strategies import Proposal
from probes.measurement import Config
from probes.space import size


class ThroughputSearch:
    """Settles one config after the other, until none that is left is likely to be chosen.

    The order is: what a killed process has begun; then, if the study learns, ``favourites`` and
    the two ends of the space; then the config with the largest expected gain. Where forecasts are
    missing (too little is known, the space is continuous, or the study does not learn), Optuna's
    sampler proposes.

    Every proposal is measured to the end unless it proves worse on the way, so this is the
    wrong strategy for finding the largest model that fits: see ``CapacitySearch``.
    """

    def __init__(
        self,
        state: SearchState,
        forecaster: Forecaster,
        proposals: Proposals,
        stopping: Stopping,
        *,
        favourites: Sequence[Config] = (),
    ) -> None:
        self._state = state
        self._forecaster = forecaster
        self._proposals = proposals
        self._stopping = stopping
        self._told: dict[Key, Trial] = {}
        self._first = _first(state, favourites) if forecaster.learns else []

    def tell(self, trial: Trial) -> None:
        self._told[config_key(trial.config)] = trial

    def ask(self) -> Proposal | None:
        state = self._state
        taken = self._told.keys() | state.busy.keys()
        queue = (c for c in [*state.begun(), *self._first] if config_key(c) not in taken)
        config = next(queue, None)
        if config is None and self._forecaster.learns:
            forecasts = self._forecaster.forecasts(state.open_configs(taken))
            if self._stopping.out_of_chances(forecasts):
                return None
            if forecasts:
                config = max(forecasts, key=lambda forecast: forecast.gain).config
        if self._stopping.out_of_trials(len(taken), size(state.spec.space)):
            return None
        if config is None:
            config = self._proposals.propose(list(self._told.values()), list(state.busy.values()))
        return None if config is None else Proposal(config)


def _first(state: SearchState, favourites: Sequence[Config]) -> list[Config]:
    """What a study that learns measures first: configs that were good elsewhere and that the space
    has, then the ends of the space."""
    space = state.spec.space
    every = state.configs if size(space) is not None else []
    return [*(config for config in favourites if contains(space, config)), *every[:1], *every[-1:]]
