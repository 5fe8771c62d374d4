"""What a study expects of a config that it has not measured, or not to the end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from optimizer.budgets import Objective
from optimizer.forecast import Edges, Forecast, batch_grid, forecasts
from optimizer.formatting import config_text, rate
from optimizer.known import Known
from optimizer.limits import SearchLimits
from optimizer.predictors import Predictors
from optimizer.records import Prediction, predictions
from optimizer.state import SearchState
from optimizer.stopping import LEAST_CHANCE
from probes import levers
from probes.max_batch import Ask, MaxBatchSearch
from probes.measurement import Config, Measurement, Purpose
from probes.prior import Prior

TRUSTED_SPREAD = 0.25
"""A memory prediction becomes a prior if its relative uncertainty is smaller than this."""
START_AT = 0.6
"""Fraction of the predicted maximum batch at which a config is measured first."""


class Forecaster:
    """Forecasts from a study's own runs, and from what is known without running anything.

    ``learns`` says whether the study's runs shape the measuring of other configs. Optuna's
    samplers are compared as they are, so a study that uses one of them does not learn. Forecasts
    are a function of the runs alone: a study that was killed continues as if it had not been.
    """

    def __init__(
        self, state: SearchState, known: Known, limits: SearchLimits, *, learns: bool
    ) -> None:
        self.learns = learns
        self._state = state
        self._known = known
        self._limits = limits
        self._predictors = Predictors(state.spec.space, state.capacities.parameters)
        self._learnt: list[Measurement] = []
        self._without_prior: set[str] = set()
        """Levers for which memory cannot be known before a step is run."""

    def forecasts(self, configs: Sequence[Config]) -> list[Forecast]:
        """One forecast per config; none at all while too little is known."""
        self.learn_from(self._state.runs())
        return self._forecasts(configs)

    def learn_from(self, runs: list[Measurement]) -> None:
        """Fit the predictors to exactly these runs."""
        if runs != self._learnt:
            self._predictors.fit(runs, accept_disturbed=self._state.accept_disturbed)
            self._learnt = runs

    def start(self, config: Config) -> int:
        """The batch size to measure first."""
        found = self._forecasts([config]) if self.learns else []
        return max(1, int(START_AT * found[0].batch_size)) if found else self._limits.start

    def prior(self, config: Config, ceiling: int) -> Prior | None:
        """Memory against batch size before anything of this config ran: as measured elsewhere,
        as known without running a step, or as the other configs suggest."""
        if measured := self._known.elsewhere(config):
            return measured
        trained = repr(sorted(levers.selected(config).items()))
        if self._known.prior is not None and trained not in self._without_prior:
            prior = self._known.prior(config, ceiling)
            if prior.points:
                return prior
            self._without_prior.add(trained)  # the same levers would fail again: ask only once
        return self._learnt_prior(config, ceiling) if self.learns else None

    def predictions(self, config: Config, ask: Ask) -> list[Prediction]:
        """What a probe is expected to measure, to be graded later: by the max-batch search from
        the config's own runs, else by the predictors from other configs."""
        memory, time = self._predictors.peak_bytes, self._predictors.step_time_s
        where = [(config, ask.batch_size)]
        if ask.peak_bytes is None and memory is not None:
            ask = replace(ask, peak_bytes=memory.at(where)[0].estimate())
        if ask.step_time_s is None and time is not None:
            ask = replace(ask, step_time_s=time.at(where)[0].estimate())
        return predictions(ask)

    def why_worse(
        self, config: Config, search: MaxBatchSearch, others: list[Measurement]
    ) -> str | None:
        """Why measuring this config to its end is not worth it; ``None`` while it may be.

        ``others`` are the runs of all other configs.
        """
        clean = [m for m in search.measurements if m.passed and not m.tainted]
        confirmed = any(m.purpose is Purpose.CONFIRM for m in search.measurements)
        capacity = self._state.budget.objective is Objective.CAPACITY
        if not self.learns or capacity or not clean or confirmed:
            return None
        runs = [*others, *search.measurements]
        self._predictors.update(runs, accept_disturbed=self._state.accept_disturbed)
        self._learnt = []
        selected, found = self._state.selected(), self._forecasts([config])
        if selected is None or not found or found[0].chance >= LEAST_CHANCE:
            return None
        expected, run = found[0].throughput_samples_per_s.estimate(), clean[-1]
        return (
            f"After {run.steps} steps with batch {run.batch_size}, about {rate(expected.value)} "
            f"are expected, {rate(expected.high)} at most. "
            f"{config_text(selected.best.run.config)} reaches "
            f"{rate(selected.best.throughput_samples_per_s)}."
        )

    def _learnt_prior(self, config: Config, ceiling: int) -> Prior | None:
        edges, process = self._edges([config]), self._predictors.peak_bytes
        if edges is None or process is None:
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

    def _forecasts(self, configs: Sequence[Config]) -> list[Forecast]:
        edges, state = self._edges(configs), self._state
        if edges is None:
            return []
        return forecasts(
            configs,
            self._predictors,
            edges,
            state.budget,
            state.selected(),
            state.capacities.capacity,
        )

    def _edges(self, configs: Sequence[Config]) -> Edges | None:
        measured = reversed(self._state.measurements)
        cap_bytes = next((m.cap_bytes for m in measured if m.cap_bytes), None)
        if cap_bytes is None or not configs:
            return None
        spec = self._state.spec
        one_of_each = {self._limits.data_parallel(config): config for config in configs}
        return Edges(
            cap_bytes,
            spec.budget.longest_step_s,
            max(self._limits.bounds(spec, each).ceiling for each in one_of_each.values()),
            spec.scope.effective_batch_size,
            self._limits.data_parallel,
        )
