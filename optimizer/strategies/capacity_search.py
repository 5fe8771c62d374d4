"""The search for the largest model, then its maximum batch."""

from __future__ import annotations

from optimizer.forecaster import Forecaster
from optimizer.largest import LargestModel
from optimizer.records import Trial, config_key
from optimizer.state import SearchState
from optimizer.stopping import Stopping
from optimizer.strategies import Proposal
from probes.measurement import Config
from probes.space import size


class CapacitySearch:
    """Finds the most capable model that fits with its smallest batch, then its maximum batch.

    Each test is a few steps; ``LargestModel`` chooses the test that rules out most. Only the
    winner is measured to the end, in each way to train it that the space has. If that shows that
    it does not fit after all, the next largest follows.

    Needs a space whose dimensions say which cost more as they grow. Where none does, every config
    is a test of its own.
    """

    def __init__(self, state: SearchState, forecaster: Forecaster, stopping: Stopping) -> None:
        self._state = state
        self._forecaster = forecaster
        self._stopping = stopping
        capacities = state.capacities
        allowed = [
            config
            for config in state.configs
            if not is_above_cap(state, config) and config_key(config) not in capacities.unbuildable
        ]
        self._allowed = {config_key(config) for config in allowed}
        self._lattice = LargestModel(
            state.spec.space, allowed, [capacities.capacity(config) for config in allowed]
        )

    def tell(self, trial: Trial) -> None:
        config = trial.config
        if config_key(config) not in self._allowed:
            return
        if trial.state == "failed" or is_above_cap(self._state, config):
            self._lattice.skip(config)  # its parameters may have been estimated too low
        else:
            self._lattice.tell(config, fits=trial.state in ("feasible", "screened"))

    def ask(self) -> Proposal | None:
        config = self._lattice.ask(self._chance_to_fit)
        used, configs = len(self._state.settled), size(self._state.spec.space)
        if config is not None and not self._stopping.out_of_trials(used, configs):
            return self._unless_busy(Proposal(config, fully=False))
        largest = self._lattice.result()
        if largest is None:
            return None
        if self._state.state_of(largest) != "feasible":
            return self._unless_busy(Proposal(largest))
        waiting = (self._unless_busy(Proposal(c)) for c in self._trained_otherwise(largest))
        return next((proposal for proposal in waiting if proposal is not None), None)

    def _unless_busy(self, proposal: Proposal) -> Proposal | None:
        """Nothing while another process is settling that config: the next step depends on it."""
        return None if config_key(proposal.config) in self._state.busy else proposal

    def _trained_otherwise(self, largest: Config) -> list[Config]:
        """The same model with other levers: equal in every dimension that costs more as it grows.
        Those that were measured to the end are left out."""
        state = self._state
        size_dimensions = [n for n, d in state.spec.space.items() if d.cost_grows]
        capacity = state.capacities.capacity
        return [
            config
            for config in state.configs
            if config != largest
            and all(config[name] == largest[name] for name in size_dimensions)
            and capacity(config) >= capacity(largest)
            and state.state_of(config) in ("", "screened")
        ]

    def _chance_to_fit(self, config: Config) -> float:
        found = self._forecaster.forecasts([config])
        return found[0].fits if found else 0.5


def is_above_cap(state: SearchState, config: Config) -> bool:
    """Whether a model has more parameters than make sense for the data set."""
    cap, parameters = state.spec.max_parameters, state.capacities.parameters(config)
    return cap is not None and parameters is not None and parameters > cap
