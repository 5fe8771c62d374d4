"""A study: the search of one budget for one workload on one device, from ask to recommendation."""

from __future__ import annotations

import time
from collections.abc import Callable

from optimizer.budgets import Objective
from optimizer.events import Report
from optimizer.forecaster import Forecaster
from optimizer.known import Known
from optimizer.limits import SearchLimits
from optimizer.outcome import Outcome, outcome_of
from optimizer.proposals import Proposals, Sampler
from optimizer.records import Key, Store, StudySpec, config_key
from optimizer.settling import Probe, Settler
from optimizer.spaces import planned
from optimizer.state import SearchState
from optimizer.stopping import Stopping
from optimizer.strategies import Proposal, Strategy
from optimizer.strategies.capacity_search import CapacitySearch
from optimizer.strategies.most_capable import ThenMostCapable, likely_more_capable
from optimizer.strategies.throughput_search import ThroughputSearch

POLL_S = 0.5
"""How often to look at what other processes on the same study have settled."""


class Study:
    """Runs a ``StudySpec`` to its end. Probing, storing and reporting are given as functions.

    A study with a store that has trials continues where they end. Raises ``InputError`` for a
    sampler that does not exist or does not work here. ``sleep`` is given where time is simulated.
    """

    def __init__(
        self,
        spec: StudySpec,
        study_id: str,
        store: Store,
        probe: Probe,
        *,
        known: Known | None = None,
        report: Report = lambda event: None,
        limits: SearchLimits | None = None,
        accept_disturbed: bool = False,
        sampler: str = Sampler.PREDICTIVE,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        self._study_id = study_id
        self._known = known or Known()
        self._limits = limits or SearchLimits()
        self._sleep = sleep or time.sleep
        self._proposals = Proposals(spec.space, spec.seed, sampler)
        self._state = SearchState(
            spec, store, sizes_of=self._known.sizes_of, accept_disturbed=accept_disturbed
        )
        learns = sampler == Sampler.PREDICTIVE
        self._forecaster = Forecaster(self._state, self._known, self._limits, learns=learns)
        self._settler = Settler(
            self._state,
            self._forecaster,
            probe,
            known=self._known,
            limits=self._limits,
            report=report,
            planned=planned(spec.space, spec.budget.trials),
        )

    def run(self) -> Outcome:
        """Search until nothing is left that could change the choice, then choose."""
        state = self._state
        stopping = Stopping(state.budget.trials, self._limits.timeout_s)
        strategy = self._strategy(stopping)
        for trial in state.settled.values():
            strategy.tell(trial)
        doubtful = {config_key(trial.config) for trial, _ in state.in_doubt()}
        while not stopping.out_of_time():
            for trial in state.refresh():
                strategy.tell(trial)
            proposal = self._again(doubtful) or strategy.ask()
            if proposal is None and not state.busy:
                break
            if proposal is None:
                self._wait_for_others(stopping)
                continue
            number = state.store.claim(proposal.config)
            if number is not None:
                strategy.tell(self._settler.settle(number, proposal))
        return outcome_of(
            self._study_id,
            state,
            stopping,
            prior_of=self._known.prior,
            heuristic_of=self._known.heuristic_of,
            probes_saved=self._settler.probes_saved,
            more_capable=len(likely_more_capable(state, self._forecaster)),
        )

    def _wait_for_others(self, stopping: Stopping) -> None:
        """Until one of them has settled its config: that may make another one worth measuring. To
        ask again sooner would only take time from what is being measured."""
        busy = self._state.busy.keys()
        while not stopping.out_of_time():
            self._sleep(POLL_S)
            if {config_key(config) for config in self._state.store.busy()} != busy:
                return

    def _strategy(self, stopping: Stopping) -> Strategy:
        if self._state.budget.objective is Objective.CAPACITY:
            return CapacitySearch(self._state, self._forecaster, stopping)
        search = ThroughputSearch(
            self._state,
            self._forecaster,
            self._proposals,
            stopping,
            favourites=self._known.favourites,
        )
        if self._state.budget.seeks_most_capable and self._forecaster.learns:
            return ThenMostCapable(search, self._state, self._forecaster)
        return search

    def _again(self, doubtful: set[Key]) -> Proposal | None:
        """A trial that an earlier run had to leave in doubt: the machine may be quiet now. Each
        is measured again once per run."""
        for trial, _ in self._state.in_doubt() if doubtful else ():
            key = config_key(trial.config)
            if key in doubtful and key not in self._state.busy:
                doubtful.remove(key)
                return Proposal(trial.config)
        return None
