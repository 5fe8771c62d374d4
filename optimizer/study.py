"""A study: the search of one budget for one workload on one device, from ask to recommendation."""

from __future__ import annotations

import time
from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING

from optimizer import choose as choosing
from optimizer.advice import advice
from optimizer.budgets import Objective
from optimizer.forecast import Outlook
from optimizer.formatting import config_text, rate
from optimizer.largest import LargestModel
from optimizer.proposals import Proposals, Sampler
from optimizer.recommend import Coverage, recommendation
from optimizer.records import Key, Recommendation, Store, StudySpec, Trial, config_key
from optimizer.trials import LEAST_CHANCE, Known, Limits, Probe, Report, Trials
from probes.measurement import Config
from probes.space import size

if TYPE_CHECKING:
    import optuna


POLL_S = 0.5
"""How often it is looked at what other processes on the same study have done."""


@dataclass(frozen=True)
class Outcome:
    """How a study ended: with a recommendation, or with the reasons why there is none."""

    recommendation: Recommendation | None
    reasons: list[str]
    measured: bool
    """Whether the reasons are about the configs (not crashes, time-outs or a busy machine)."""


class Study:
    """Runs a ``StudySpec`` to its end. Probing, storing and reporting are given as functions.

    ``storage`` is an Optuna storage; the same one and the same ``study_id`` resume the study.
    """

    def __init__(
        self,
        spec: StudySpec,
        study_id: str,
        store: Store,
        probe: Probe,
        *,
        known: Known | None = None,
        storage: optuna.storages.BaseStorage | None = None,
        report: Report = lambda event: None,
        limits: Limits | None = None,
        accept_disturbed: bool = False,
        sampler: str = Sampler.PREDICTIVE,
    ) -> None:
        self.spec = spec
        self.study_id = study_id
        self.known = known or Known()
        self.limits = limits or Limits()
        self.learns = sampler == Sampler.PREDICTIVE
        self.proposals = Proposals(
            study_id,
            spec.space,
            spec.budget.trials,
            spec.seed,
            sampler=sampler,
            storage=storage,
            first=self.known.favourites,
        )
        self.trials = Trials(
            spec,
            store,
            probe,
            known=self.known,
            report=report,
            limits=self.limits,
            accept_disturbed=accept_disturbed,
            learns=self.learns,
            planned=self.proposals.planned,
        )
        self.stopped = ""
        """Why the search ended before the trials or the space were used up."""
        self.timed_out = False
        self._deadline_s: float | None = None

    def run(self) -> Outcome:
        """Search until nothing is left that could change the choice, then choose."""
        if self.limits.timeout_s is not None:
            self._deadline_s = time.monotonic() + self.limits.timeout_s
        self.trials.measure_again()
        if self.spec.budget.objective is Objective.CAPACITY:
            self._find_largest()
        else:
            self._find_best()
        return self._outcome()

    def _out_of_time(self) -> bool:
        if self._deadline_s is not None and time.monotonic() >= self._deadline_s:
            self.timed_out = True
            self.stopped = f"The search was ended after {self.limits.timeout_s:.0f} s, as asked."
        return self.timed_out

    # -- within a window: throughput -----------------------------------------------------------

    def _find_best(self) -> None:
        """One config after the other, until none that is left is likely to be chosen."""
        trials = self.trials
        if self.learns:
            self.proposals.enqueue_first()
        while not self._out_of_time():
            busy = trials.meet_others()
            found = None
            if len(trials.settled) + len(busy) < self.proposals.planned:
                found = self._next(busy)
            if found is None and not busy:
                return
            if found is None:
                time.sleep(POLL_S)  # what the others find may make something else worth it
                continue
            optuna_trial, config = found
            trial = trials.settled.get(config_key(config))
            if trial is None and not trials.store.claim(config):
                continue
            if trial is None:
                trial = trials.settle(optuna_trial.number, config)
            self.proposals.tell(optuna_trial, trial)

    def _next(self, busy: set[Key]) -> tuple[optuna.Trial, Config] | None:
        """The next trial; ``None`` when none is worth it, as far as is known now."""
        taken = self.trials.settled.keys() | busy
        self.stopped, favourite = "", None
        if self.learns and not self.proposals.waiting(busy):
            outlooks = self.trials.outlooks(self._open(taken))
            if outlooks and max(o.chance for o in outlooks) < LEAST_CHANCE:
                self.stopped = _why_enough(outlooks)
                return None
            favourite = max(outlooks, key=lambda o: o.gain).config if outlooks else None
        return self.proposals.next(taken, busy, favourite)

    def _open(self, taken: Set[Key]) -> list[Config]:
        """Configs that nobody is at, and not ruled out by one that is settled."""
        return [
            config
            for config in self.trials.configs
            if config_key(config) not in taken and self.trials.witness(config) is None
        ]

    # -- the largest model ---------------------------------------------------------------------

    def _find_largest(self) -> None:
        """First the largest model of which the smallest batch fits, then its maximum batch."""
        trials, capacities = self.trials, self.trials.capacities
        allowed = [
            config
            for config in trials.configs
            if not self._is_above_cap(config) and config_key(config) not in capacities.unbuildable
        ]
        search = LargestModel(
            self.spec.space, allowed, [capacities.capacity(config) for config in allowed]
        )
        for trial in trials.settled.values():
            if trial.config in allowed:
                _tell(search, trial)
        while not self._out_of_time():
            tests_left = len(trials.settled) < self.spec.budget.trials
            config = search.ask(self._chance_to_fit) if tests_left else None
            if config is not None:
                if not trials.store.claim(config):
                    self._wait_for(config)
                    _tell(search, trials.settled[config_key(config)])
                    continue
                trial = trials.test_fit(config)
                if self._is_above_cap(config):  # its parameters had been foreseen, and are more
                    search.skip(config)
                else:
                    _tell(search, trial)
                continue
            largest = search.result()
            if largest is None:
                return
            trial = self._settle_fully(largest)
            if trial.state == "feasible":
                for otherwise in self._trained_otherwise(largest):
                    self._settle_fully(otherwise)
                return
            _tell(search, trial)  # a long run showed that it does not fit after all

    def _settle_fully(self, config: Config) -> Trial:
        trial = self.trials.settled.get(config_key(config))
        if trial is not None and trial.state == "feasible":
            return trial
        if not self.trials.store.claim(config):
            self._wait_for(config)
            return self.trials.settled[config_key(config)]
        return self.trials.settle(self.trials.number_of(config), config)

    def _wait_for(self, config: Config) -> None:
        """Another process is at it: until it is settled, or that process is gone."""
        while config_key(config) in self.trials.meet_others():
            time.sleep(POLL_S)
        if not self.trials.state_of(config) and self.trials.store.claim(config):
            self.trials.test_fit(config)

    def _trained_otherwise(self, largest: Config) -> list[Config]:
        """The same model with other levers: equal in all that costs more as it grows."""
        size_dimensions = [n for n, d in self.spec.space.items() if d.cost_grows]
        capacity = self.trials.capacities.capacity
        return [
            config
            for config in self.trials.configs
            if config != largest
            and all(config[name] == largest[name] for name in size_dimensions)
            and capacity(config) >= capacity(largest)
            and self.trials.state_of(config) in ("", "screened")
        ]

    def _chance_to_fit(self, config: Config) -> float:
        found = self.trials.outlooks([config])
        return found[0].fits if found else 0.5

    def _is_above_cap(self, config: Config) -> bool:
        cap, parameters = self.spec.max_parameters, self.trials.capacities.parameters(config)
        return cap is not None and parameters is not None and parameters > cap

    # -- the end -------------------------------------------------------------------------------

    def _outcome(self) -> Outcome:
        trials, chosen = self.trials, self.trials.chosen()
        if chosen is not None:
            return Outcome(self._recommendation(chosen), [], True)
        if disturbed := trials.in_doubt():
            return Outcome(None, choosing.why_disturbed(disturbed), measured=False)
        settled = list(trials.settled.values())
        reasons = [
            *([self.stopped] if self.stopped else []),
            *self._left_out_beforehand(),
            *choosing.why_nothing(settled, trials.runs(), self.spec.budget),
        ]
        return Outcome(None, reasons, any(t.state == "infeasible" for t in settled))

    def _left_out_beforehand(self) -> list[str]:
        """What was not a candidate at all, in words."""
        reasons = []
        above = sum(self._is_above_cap(config) for config in self.trials.configs)
        if above and self.spec.budget.objective is Objective.CAPACITY:
            reasons.append(
                f"{above} of {len(self.trials.configs)} configs have more than "
                f"{self.spec.max_parameters:,} parameters, which is the most that makes sense for "
                f"{self.spec.dataset_size or 'the'} samples (parameter_caps in the configuration)."
            )
        for key, reason in list(self.trials.capacities.unbuildable.items())[:3]:
            reasons.append(f"{' '.join(f'{n}={v}' for n, v in key)} cannot be built: {reason}")
        return reasons

    def _recommendation(self, chosen: choosing.Choice) -> Recommendation:
        trials = self.trials
        unsettled = [c for c in trials.configs if not trials.state_of(c)]
        return recommendation(
            self.spec,
            self.study_id,
            chosen,
            list(trials.settled.values()),
            trials.runs(),
            Coverage(
                configs=size(self.spec.space),
                probes=len(trials.measurements),
                probes_saved=trials.probes_saved,
                pruned=[(c, w) for c in unsettled if (w := trials.witness(c)) is not None],
                timed_out=self.timed_out,
                notes=[
                    *advice(
                        chosen.best.trial.binding,
                        chosen.best.run,
                        self.spec.budget,
                        self.spec.space,
                        self.known.prior,
                    ),
                    *self._left_out_beforehand(),
                    *([self.stopped] if self.stopped else []),
                ],
                grades=trials.store.grades(),
            ),
        )


def _why_enough(outlooks: Sequence[Outlook]) -> str:
    likeliest = max(outlooks, key=lambda o: o.chance)
    return (
        f"{len(outlooks)} more configs were not measured: none has more than a {LEAST_CHANCE:.0%} "
        f"chance of being chosen. The likeliest, {config_text(likeliest.config)}, should "
        f"reach about {rate(likeliest.throughput_samples_per_s.median)}."
    )


def _tell(search: LargestModel, trial: Trial) -> None:
    """What a settled trial means for the search of the largest model."""
    if trial.state == "failed":
        search.skip(trial.config)
    else:
        search.tell(trial.config, fits=trial.state in ("feasible", "screened"))
