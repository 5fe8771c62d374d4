"""The trials of a study: what has been measured and settled so far, and settling one more.

Every probe is committed before the next begins, and what is stored is read back instead of being
measured again, so a study can be killed anywhere and go on where it stood.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from optimizer import choose as choosing
from optimizer.budgets import Budget, Objective
from optimizer.capacity import Capacities, SizesOf
from optimizer.disturbed import in_doubt, standing
from optimizer.forecast import Edges, Outlook, batch_grid, outlooks
from optimizer.formatting import config_text, rate
from optimizer.predictors import Predictors
from optimizer.records import Key, Prediction, Store, StudySpec, Trial, config_key, predictions
from optimizer.replay import probes_without_prior
from optimizer.spaces import costs_at_least, finite
from optimizer.trial_outcome import settle
from probes import levers
from probes.doubt import doubts, is_too_slow
from probes.max_batch import DEFAULT_CAP, Ask, Bounds, MaxBatchSearch
from probes.measurement import Config, Measurement, Purpose
from probes.prior import Prior
from probes.space import grid

LEAST_CHANCE = 0.02
"""A config with a smaller chance of being chosen is not measured, or not to its end."""
TRUSTED_SPREAD = 0.25
"""A memory prediction is used to begin a search with, if its relative uncertainty is smaller."""
START_AT = 0.6
"""Fraction of the predicted maximum batch at which a config is first measured."""


@dataclass(frozen=True)
class Event:
    """Something a person watching would want to see. ``kind`` says which fields are set."""

    kind: str
    """``trial``, ``probe``, ``measured``, ``reused``, ``settled``."""
    trial_number: int = 0
    trials_settled: int = 0
    trials_planned: int = 0
    config: Config = field(default_factory=dict)
    ask: Ask | None = None
    measurement: Measurement | None = None
    trial: Trial | None = None
    incumbent: choosing.Candidate | None = None


@dataclass(frozen=True)
class Limits:
    """Bounds of the search that are not the study's question."""

    batch_cap: int = DEFAULT_CAP
    resolution: float = 0.03
    start: int = 8
    slowest_sample: float | None = None
    timeout_s: float | None = None
    """No config is begun after so long."""


Probe = Callable[[Config, Ask], Measurement]
PriorOf = Callable[[Config, int], Prior]
"""The prior of a config up to a largest batch size."""
Report = Callable[[Event], None]


@dataclass(frozen=True)
class Known:
    """What may be known of configs before the study measures any. All of it is verified."""

    prior: PriorOf | None = None
    """Memory against the batch, without running a step."""
    sizes_of: SizesOf | None = None
    """How large the models are."""
    elsewhere: Callable[[Config], Prior] = lambda config: Prior()
    """Memory against the batch as it was measured on another device or for another budget."""
    favourites: Sequence[Config] = ()
    """Configs that were good elsewhere, measured first."""


class Trials:
    """Settles configs of one study. Probing, storing and reporting are given as functions."""

    def __init__(
        self,
        spec: StudySpec,
        store: Store,
        probe: Probe,
        *,
        known: Known,
        report: Report,
        limits: Limits,
        accept_disturbed: bool,
        learns: bool,
        planned: int,
    ) -> None:
        self.spec = spec
        self.store = store
        self.probe = probe
        self.known = known
        self.report = report
        self.limits = limits
        self.accept_disturbed = accept_disturbed
        self.learns = learns
        self.planned = planned
        self.configs = grid(finite(spec.space)) or []
        """Every config, or an even selection of a large space."""
        self.capacities = Capacities(spec.space, self.configs, known.sizes_of)
        self.predictors = Predictors(spec.space, self.capacities.parameters)
        self.settled: dict[Key, Trial] = {config_key(t.config): t for t in store.trials()}
        self.measurements = store.measurements()
        for run in self.measurements:
            self.capacities.learn(run)
        self._learnt: list[Measurement] = []
        self._standing: tuple[list[Measurement], list[Measurement]] = ([], [])
        self._without_prior: set[str] = set()
        """Levers for which memory cannot be known before a step is run."""
        self._shared = False
        self.probes_saved = 0
        """By what was known from elsewhere: an estimate, from replaying the search without it."""

    @property
    def budget(self) -> Budget:
        return self.spec.budget

    def state_of(self, config: Config) -> str:
        """``Trial.state``, or nothing for a config that is not settled."""
        trial = self.settled.get(config_key(config))
        return trial.state if trial is not None else ""

    def number_of(self, config: Config) -> int:
        """The trial's number: the one it has, or its config's place, in whatever process."""
        trial = self.settled.get(config_key(config))
        return self.configs.index(config) if trial is None else trial.number

    def meet_others(self) -> set[Key]:
        """Take over what other processes that work on the study have settled since; the configs
        that they are at."""
        busy = {config_key(config) for config in self.store.busy()}
        if busy or self._shared:
            self._shared = bool(busy)
            self.settled = {config_key(t.config): t for t in self.store.trials()}
            self.measurements = self.store.measurements()
        return busy

    # -- settling ----------------------------------------------------------------------------

    def measure_again(self) -> None:
        """Settle anew what an earlier run had to leave in doubt: the machine may be quiet now."""
        open_ = self.in_doubt()
        for trial, _ in open_:
            del self.settled[config_key(trial.config)]
        for trial, _ in open_:
            self.settle(trial.number, trial.config, trial.wall_s)

    def settle(self, number: int, config: Config, spent_s: float = 0.0) -> Trial:
        """Measure one config (or prune it) and commit the outcome."""
        began_s = time.monotonic() - spent_s
        self._say("trial", number, config=config)
        witness = self.witness(config)
        if witness is not None:
            reason = choosing.why_pruned(witness)
            return self._keep(
                Trial(number, config, "pruned", reason, violation=dict(witness.violation))
            )
        bounds = self._bounds()
        others = [run for run in self.runs() if run.config != config]
        if self.learns:
            self._learn_from(others)
        search = MaxBatchSearch(bounds, self._start(config), self._prior(config, bounds.ceiling))
        for run in self._runs_of(number, config, search):
            search.tell(run)
            worse = self._why_worse(config, search, others)
            if worse is not None:
                wall_s, probes = time.monotonic() - began_s, len(search.measurements)
                return self._keep(
                    Trial(number, config, "screened", worse, probes=probes, wall_s=wall_s)
                )
        if self.known.elsewhere(config):
            self.probes_saved += max(0, probes_without_prior(search) - len(search.measurements))
        wall_s = time.monotonic() - began_s
        return self._keep(settle(number, config, search.result(), self.budget, wall_s))

    def _keep(self, settled: Trial) -> Trial:
        parameters = self.capacities.parameters(settled.config)
        trial = replace(settled, parameters=None if parameters is None else round(parameters))
        self.store.add_trial(trial)
        self.settled[config_key(trial.config)] = trial
        self._say(
            "settled",
            trial.number,
            config=trial.config,
            trial=trial,
            incumbent=chosen.best if (chosen := self.chosen()) else None,
        )
        return trial

    def witness(self, config: Config) -> Trial | None:
        """An infeasible trial that this config cannot be cheaper than. Not one in doubt: that would
        rule out configs for somebody else's load."""
        space, longest_step_s = self.spec.space, self.budget.longest_step_s
        for trial in self.settled.values():
            rules_out = trial.state == "infeasible" and costs_at_least(space, config, trial.config)
            if rules_out and (
                self.accept_disturbed or not in_doubt(trial, self.runs(), longest_step_s)
            ):
                return trial
        return None

    def _why_worse(
        self, config: Config, search: MaxBatchSearch, others: list[Measurement]
    ) -> str | None:
        """Why measuring this config to its end is not worth it; ``None`` while it may be."""
        clean = [m for m in search.measurements if m.passed and not m.tainted]
        confirmed = any(m.purpose is Purpose.CONFIRM for m in search.measurements)
        capacity = self.budget.objective is Objective.CAPACITY
        if not self.learns or capacity or not clean or confirmed:
            return None
        runs = [*others, *search.measurements]
        self.predictors.update(runs, accept_disturbed=self.accept_disturbed)
        self._learnt = []
        chosen, found = self.chosen(), self._foresee([config])
        if chosen is None or not found or found[0].chance >= LEAST_CHANCE:
            return None
        expected, run = found[0].throughput_samples_per_s.estimate(), clean[-1]
        return (
            f"After {run.steps} steps with batch {run.batch_size} it is expected to reach about "
            f"{rate(expected.value)}, {rate(expected.high)} at most. "
            f"{config_text(chosen.best.run.config)} reaches "
            f"{rate(chosen.best.throughput_samples_per_s)}."
        )

    def test_fit(self, config: Config) -> Trial:
        """Whether the smallest batch runs at all, in a few steps."""
        began_s, number = time.monotonic(), self.number_of(config)
        self._say("trial", number, config=config)
        search = MaxBatchSearch(self._bounds())
        run = self._measure(
            number, config, Ask(1, Purpose.BRACKET, longest_step_s=self.budget.longest_step_s)
        )
        search.tell(run)
        wall_s = time.monotonic() - began_s
        if run.passed and not is_too_slow(run, self.budget.longest_step_s):
            reason = "A few steps of its smallest batch fit. It is not the largest that does."
            return self._keep(Trial(number, config, "screened", reason, probes=1, wall_s=wall_s))
        return self._keep(settle(number, config, search.result(), self.budget, wall_s))

    def _bounds(self) -> Bounds:
        return Bounds(
            cap=self.limits.batch_cap,
            dataset_size=self.spec.dataset_size,
            longest_step_s=self.budget.longest_step_s,
            resolution=self.limits.resolution,
            slowest_sample=self.limits.slowest_sample,
            effective_batch_size=self.spec.scope.effective_batch_size,
        )

    def _measure(self, number: int, config: Config, ask: Ask) -> Measurement:
        """One probe, from the store where it has been run before."""
        found = self._stored(config, ask)
        if found is not None:
            self._say("reused", number, config=config, ask=ask, measurement=found)
            if found not in self.measurements:
                self.measurements.append(found)
            return found
        expected = self._predictions(config, ask)
        self._say("probe", number, config=config, ask=ask)
        measurement = self.probe(config, ask)
        self.store.add_measurement(number, measurement, expected)
        self.measurements.append(measurement)
        self.capacities.learn(measurement)
        self._say("measured", number, config=config, ask=ask, measurement=measurement)
        return measurement

    def _predictions(self, config: Config, ask: Ask) -> list[Prediction]:
        """What is expected of a probe, to be graded against what it gives: by the max-batch search
        from the config's own runs, else by the predictors from those of others."""
        memory, time = self.predictors.peak_bytes, self.predictors.step_time_s
        where = [(config, ask.batch_size)]
        if ask.peak_bytes is None and memory is not None:
            ask = replace(ask, peak_bytes=memory.at(where)[0].estimate())
        if ask.step_time_s is None and time is not None:
            ask = replace(ask, step_time_s=time.at(where)[0].estimate())
        return predictions(ask)

    def _start(self, config: Config) -> int:
        """Where the predictors put 60 % of the maximum batch, or small."""
        found = self._foresee([config]) if self.learns else []
        return max(1, int(START_AT * found[0].batch_size)) if found else self.limits.start

    def _prior(self, config: Config, ceiling: int) -> Prior | None:
        """Memory against the batch before anything of this config ran: what was measured
        elsewhere, what is known without running a step, or what the other configs teach."""
        if measured := self.known.elsewhere(config):
            return measured
        trained = repr(sorted(levers.selected(config).items()))
        if self.known.prior is not None and trained not in self._without_prior:
            prior = self.known.prior(config, ceiling)
            if prior.points:
                return prior
            self._without_prior.add(trained)  # nor do others that are trained so: ask only once
        edges, process = self._edges(), self.predictors.peak_bytes
        if not self.learns or edges is None or process is None:
            return None
        batches = batch_grid(ceiling)
        found = process.at([(config, batch) for batch in batches])
        if found[0].log_std > TRUSTED_SPREAD:
            return None
        points, most = [], 0
        for batch, peak in zip(batches, found):
            most = max(most, int(peak.median))
            points.append((batch, most))
            if most > 2 * edges.cap_bytes:
                break
        return Prior(points, edges.cap_bytes)

    def _runs_of(
        self, number: int, config: Config, search: MaxBatchSearch
    ) -> Iterator[Measurement]:
        """The runs of a config that its search needs: what is known first, then one by one."""
        for run in self._own_runs(config):
            self._say("reused", number, config=config, measurement=run)
            yield run
        while (ask := search.ask()) is not None:
            yield self._measure(number, config, ask)

    def _own_runs(self, config: Config) -> list[Measurement]:
        """What this study has measured of a config before it was killed, or left in doubt: all that
        stands."""
        own = [run for run in self.runs() if run.config == config]
        return [run for run in own if self._stands(run)]

    def _stands(self, run: Measurement) -> bool:
        """Whether the outcome of a run is the config's own and not what disturbed it. A
        confirmation may answer for a bracket, and then counts as confirmed."""
        if self.accept_disturbed:
            return True
        confirms = run.purpose is Purpose.CONFIRM
        return not doubts(run, self.budget.longest_step_s, time_matters=confirms)

    def _stored(self, config: Config, ask: Ask) -> Measurement | None:
        """A stored measurement that answers the ask, unless it is in doubt."""
        found = self.store.find_measurement(config, ask.batch_size, ask.purpose)
        return found if found is not None and self._stands(found) else None

    # -- what is known so far ------------------------------------------------------------------

    def outlooks(self, configs: Sequence[Config]) -> list[Outlook]:
        """What is expected of each config; nothing at all while too little is known."""
        self._learn_from(self.runs())
        return self._foresee(configs)

    def _learn_from(self, runs: list[Measurement]) -> None:
        """What is foreseen is a function of these runs alone, so that a study that was killed
        goes on as if it had not been."""
        if runs != self._learnt:
            self.predictors.fit(runs, accept_disturbed=self.accept_disturbed)
            self._learnt = runs

    def _foresee(self, configs: Sequence[Config]) -> list[Outlook]:
        edges = self._edges()
        if edges is None:
            return []
        return outlooks(
            configs, self.predictors, edges, self.budget, self.chosen(), self.capacities.capacity
        )

    def _edges(self) -> Edges | None:
        cap_bytes = next((m.cap_bytes for m in reversed(self.measurements) if m.cap_bytes), None)
        if cap_bytes is None:
            return None
        return Edges(
            cap_bytes,
            self.budget.longest_step_s,
            self._bounds().ceiling,
            self.spec.scope.effective_batch_size,
        )

    def chosen(self) -> choosing.Choice | None:
        """What would be recommended now."""
        trials = list(self.settled.values())
        found = choosing.candidates(trials, self.runs(), self.capacities.capacity)
        return choosing.choose(found, self.budget, accept_disturbed=self.accept_disturbed)

    def runs(self) -> list[Measurement]:
        """Of several runs of one probe the one that counts."""
        if len(self._standing[0]) != len(self.measurements):
            self._standing = (list(self.measurements), standing(self.measurements))
        return self._standing[1]

    def in_doubt(self) -> list[tuple[Trial, list[str]]]:
        """Trials whose outcome may be the disturbed machine's, with what disturbed it."""
        if self.accept_disturbed:
            return []
        runs, longest_step_s = self.runs(), self.budget.longest_step_s
        found = ((t, in_doubt(t, runs, longest_step_s)) for t in self.settled.values())
        return [(trial, taints) for trial, taints in found if taints]

    def _say(self, kind: str, number: int, **details: Any) -> None:
        self.report(
            Event(
                kind,
                trial_number=number,
                trials_settled=len(self.settled),
                trials_planned=self.planned,
                **details,
            )
        )
