"""Settling a config of a study: measure it, or prune it, and commit the outcome."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from optimizer import no_answer
from optimizer.events import Event, Report
from optimizer.forecaster import Forecaster
from optimizer.known import Known
from optimizer.limits import SearchLimits
from optimizer.records import Trial, config_key
from optimizer.replay import probes_without_prior
from optimizer.state import SearchState
from optimizer.strategies import Proposal
from optimizer.trial_outcome import settled_trial
from probes.doubt import is_too_slow
from probes.max_batch import Ask, MaxBatchSearch
from probes.measurement import Config, Measurement, Purpose

Probe = Callable[[Config, Ask], Measurement]


class Settler:
    """Settles the configs of one study.

    Every probe is committed before the next one begins, and a stored result is read instead of
    being measured again: a config that a killed process left is continued where it stood.
    ``planned`` is the number of trials that is reported with each event.
    """

    def __init__(
        self,
        state: SearchState,
        forecaster: Forecaster,
        probe: Probe,
        *,
        known: Known,
        limits: SearchLimits,
        report: Report,
        planned: int,
    ) -> None:
        self._state = state
        self._forecaster = forecaster
        self._probe = probe
        self._known = known
        self._limits = limits
        self._report = report
        self._planned = planned
        self.probes_saved = 0
        """Estimate of the probes saved by knowledge from elsewhere (see ``replay``)."""

    def settle(self, number: int, proposal: Proposal) -> Trial:
        """Settle a config under its trial number; what was settled before is replaced."""
        config = proposal.config
        before = self._state.settled.get(config_key(config))
        began_s = time.monotonic() - (before.wall_s if before is not None else 0.0)
        self._say("trial", number, config=config)
        if proposal.fully:
            settled = self._search(number, config, keep=proposal.keep)
        else:
            settled = self._test(number, config)
        parameters = self._state.capacities.parameters(config)
        trial = replace(
            settled,
            wall_s=time.monotonic() - began_s if settled.state != "pruned" else 0.0,
            parameters=None if parameters is None else round(parameters),
        )
        self._state.add_trial(trial)
        selected = self._state.selected()
        incumbent = selected.best if selected is not None else None
        self._say("settled", number, config=config, trial=trial, incumbent=incumbent)
        return trial

    def _search(self, number: int, config: Config, *, keep: bool) -> Trial:
        """The maximum batch of a config, unless it is ruled out before or on the way. With
        ``keep``, a low throughput does not rule it out."""
        witness = self._state.witness(config)
        if witness is not None:
            reason = no_answer.why_pruned(witness)
            return Trial(number, config, "pruned", reason, violation=dict(witness.violation))
        others = self._learnt_from_others(config)
        bounds = self._limits.bounds(self._state.spec, config)
        prior = self._forecaster.prior(config, bounds.ceiling)
        search = MaxBatchSearch(bounds, self._forecaster.start(config), prior)
        for run in self._runs_of(number, config, search):
            search.tell(run)
            if self._state.look():  # what others have found meanwhile may show that it is worse
                others = self._learnt_from_others(config)
            worse = None if keep else self._forecaster.why_worse(config, search, others)
            if worse is not None:
                return Trial(number, config, "screened", worse, probes=len(search.measurements))
        if self._known.elsewhere(config):
            self.probes_saved += max(0, probes_without_prior(search) - len(search.measurements))
        return settled_trial(number, config, search.result(), self._state.budget)

    def _learnt_from_others(self, config: Config) -> list[Measurement]:
        """The runs of all other configs, once the forecaster has learnt from them."""
        others = [run for run in self._state.runs() if run.config != config]
        if self._forecaster.learns:
            self._forecaster.learn_from(others)
        return others

    def _test(self, number: int, config: Config) -> Trial:
        """Whether the smallest batch of a config runs at all, in a few steps."""
        longest_step_s = self._state.budget.longest_step_s
        search = MaxBatchSearch(self._limits.bounds(self._state.spec, config))
        run = self._measure(number, config, Ask(1, Purpose.BRACKET, longest_step_s=longest_step_s))
        search.tell(run)
        if run.passed and not is_too_slow(run, longest_step_s):
            reason = "A few steps of its smallest batch fit. It is not the largest that does."
            return Trial(number, config, "screened", reason, probes=1)
        return settled_trial(number, config, search.result(), self._state.budget)

    def _runs_of(
        self, number: int, config: Config, search: MaxBatchSearch
    ) -> Iterator[Measurement]:
        """The runs that the search of a config needs: the stored ones first, then one by one."""
        for run in self._state.standing_runs_of(config):
            self._say("reused", number, config=config, measurement=run)
            yield run
        while (ask := search.ask()) is not None:
            yield self._measure(number, config, ask)

    def _measure(self, number: int, config: Config, ask: Ask) -> Measurement:
        """One probe; a stored result if there is one and it will do."""
        found = None
        if not ask.is_again:
            found = self._state.find_measurement(config, ask.batch_size, ask.purpose)
        if found is not None:
            self._say("reused", number, config=config, ask=ask, measurement=found)
            return found
        expected = self._forecaster.predictions(config, ask)
        self._say("probe", number, config=config, ask=ask)
        run = self._probe(config, ask)
        self._state.add_measurement(number, run, expected)
        self._say("measured", number, config=config, ask=ask, measurement=run)
        return run

    def _say(self, kind: str, number: int, **details: Any) -> None:
        self._report(
            Event(
                kind,
                trial_number=number,
                trials_settled=len(self._state.settled),
                trials_planned=self._planned,
                **details,
            )
        )
