"""A study: the search of one budget for one workload on one device, from ask to recommendation.

Optuna proposes configs; for each, the max-batch search decides which probes are worth running;
every probe is committed before the next begins. A study can be killed anywhere and run again
with the same store: finished probes are read back instead of repeated, and the trial that was
under way is taken up where it stood.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from optimizer import choose as choosing
from optimizer.budgets import Budget
from optimizer.disturbed import in_doubt, standing
from optimizer.records import Prediction, Recommendation, Store, StudySpec, Trial
from optimizer.spaces import costs_at_least
from probes.answer import MaxBatch, short_by_bytes
from probes.doubt import doubts
from probes.errors import MeasurementError
from probes.max_batch import DEFAULT_CAP, Ask, Bounds, MaxBatchSearch, run_search
from probes.measurement import Config, Measurement, Purpose, Verdict
from probes.prior import Prior
from probes.space import Dimension, Float, Int, grid, size

if TYPE_CHECKING:
    import optuna

REPEATS_ALLOWED = 8
"""Proposals of already settled configs in a row before one is drawn from what is left."""


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
    """Bounds of the max-batch search that are not the study's question."""

    batch_cap: int = DEFAULT_CAP
    resolution: float = 0.03
    start: int = 8
    slowest_sample: float | None = None


@dataclass(frozen=True)
class Outcome:
    """How a study ended: with a recommendation, or with the reasons why there is none."""

    recommendation: Recommendation | None
    reasons: list[str]
    measured: bool
    """Whether the reasons are about the configs (not crashes, time-outs or a busy machine)."""


Probe = Callable[[Config, Ask], Measurement]
EstimatePrior = Callable[[Config, int], Prior]
"""The analytic prior of a config up to a largest batch size."""
Report = Callable[[Event], None]


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
        prior: EstimatePrior | None = None,
        storage: optuna.storages.BaseStorage | None = None,
        report: Report = lambda event: None,
        limits: Limits | None = None,
        accept_disturbed: bool = False,
    ) -> None:
        self.spec = spec
        self.study_id = study_id
        self.store = store
        self.probe = probe
        self.prior = prior
        self.report = report
        self.limits = limits or Limits()
        self.accept_disturbed = accept_disturbed
        self.optuna = _open_optuna(study_id, storage, spec.seed)
        self.settled = {_key(trial.config): trial for trial in store.trials()}
        self.planned = self._planned()

    @property
    def budget(self) -> Budget:
        return self.spec.budget

    def _planned(self) -> int:
        total = size(self.spec.space)
        return self.budget.trials if total is None else min(self.budget.trials, total)

    def run(self) -> Outcome:
        """Search until the trials or the space are used up, then choose."""
        self._measure_again()
        self._enqueue_first()
        for optuna_trial in self._proposals():
            config = self._config(optuna_trial)
            trial = self.settled.get(_key(config))
            if trial is None:
                trial = self._settle(optuna_trial.number, config)
            self._tell(optuna_trial, trial)
        return self._outcome()

    # -- proposals -------------------------------------------------------------------------

    def _enqueue_first(self) -> None:
        """A small space is simply measured, cheapest first; a large one is entered at its ends."""
        if self.optuna.get_trials(deepcopy=False):
            return
        configs = grid(self.spec.space)
        if configs is None:
            return
        chosen = configs if len(configs) <= self.budget.trials else [configs[0], configs[-1]]
        for config in chosen:
            self.optuna.enqueue_trial(config)

    def _proposals(self) -> Iterator[optuna.Trial]:
        """Trials to evaluate: what a killed run left behind, then what the sampler asks for."""
        import optuna

        running = self.optuna.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        for left in running:
            yield optuna.trial.Trial(self.optuna, left._trial_id)
        repeats = 0
        while len(self.settled) < self.planned:
            before = len(self.settled)
            if repeats >= REPEATS_ALLOWED and not self._enqueue_unseen():
                return
            yield self.optuna.ask()
            repeats = 0 if len(self.settled) > before else repeats + 1

    def _enqueue_unseen(self) -> bool:
        """The sampler goes round in circles: draw from the configs nobody has measured."""
        configs = grid(self.spec.space)
        if configs is None:
            return True
        unseen = [config for config in configs if _key(config) not in self.settled]
        if not unseen:
            return False
        generator = random.Random(f"{self.spec.seed}-{len(self.settled)}")
        self.optuna.enqueue_trial(generator.choice(unseen))
        return True

    def _config(self, trial: optuna.Trial) -> Config:
        return {name: _suggest(trial, name, d) for name, d in self.spec.space.items()}

    # -- one trial -------------------------------------------------------------------------

    def _measure_again(self) -> None:
        """Settle anew what an earlier run had to leave in doubt: the machine may be quiet now."""
        open_ = self._in_doubt()
        for trial, _ in open_:
            del self.settled[_key(trial.config)]
        for trial, _ in open_:
            self._settle(trial.number, trial.config, trial.wall_s)

    def _settle(self, number: int, config: Config, spent_s: float = 0.0) -> Trial:
        """Measure one config (or prune it) and commit the outcome."""
        began_s = time.monotonic() - spent_s
        self._say("trial", number, config=config)
        witness = self._witness(config)
        if witness is not None:
            reason = (
                f"Costs at least as much as {choosing.config_text(witness.config)}, which was "
                f"ruled out: {witness.reason}"
            )
            trial = Trial(number, config, "pruned", reason, violation=dict(witness.violation))
        else:
            answer = self._max_batch(number, config)
            trial = settle(number, config, answer, self.budget, time.monotonic() - began_s)
        self.store.add_trial(trial)
        self.settled[_key(config)] = trial
        self._say("settled", number, config=config, trial=trial, incumbent=self.incumbent())
        return trial

    def _witness(self, config: Config) -> Trial | None:
        """An infeasible trial that this config cannot be cheaper than. Not one in doubt: that would
        rule out configs for somebody else's load."""
        witnesses = [
            trial
            for trial in self.settled.values()
            if trial.state == "infeasible" and costs_at_least(self.spec.space, config, trial.config)
        ]
        doubtful = [trial for trial, _ in self._in_doubt()] if witnesses else []
        return next((trial for trial in witnesses if trial not in doubtful), None)

    def _max_batch(self, number: int, config: Config) -> MaxBatch:
        bounds = Bounds(
            cap=self.limits.batch_cap,
            dataset_size=self.spec.dataset_size,
            longest_step_s=self.budget.longest_step_s,
            resolution=self.limits.resolution,
            slowest_sample=self.limits.slowest_sample,
        )

        def probe(ask: Ask) -> Measurement:
            found = self._stored(config, ask)
            if found is not None:
                self._say("reused", number, config=config, ask=ask, measurement=found)
                return found
            self._say("probe", number, config=config, ask=ask)
            measurement = self.probe(config, ask)
            self.store.add_measurement(number, measurement, predictions(ask))
            self._say("measured", number, config=config, ask=ask, measurement=measurement)
            return measurement

        search = MaxBatchSearch(bounds, self.limits.start, self._prior(config, bounds.ceiling))
        return run_search(search, probe)

    def _prior(self, config: Config, ceiling: int) -> Prior | None:
        """What cannot be estimated for one config cannot for the others: ask only once then."""
        if self.prior is None:
            return None
        prior = self.prior(config, ceiling)
        if not prior.points:
            self.prior = None
        return prior

    def _stored(self, config: Config, ask: Ask) -> Measurement | None:
        """A stored measurement that answers the ask, unless it is in doubt. A confirmation may
        answer for a bracket, and then counts as confirmed: it must stand as what it is."""
        found = self.store.find_measurement(config, ask.batch_size, ask.purpose)
        if found is None or self.accept_disturbed:
            return found
        confirms = found.purpose is Purpose.CONFIRM
        return None if doubts(found, ask.longest_step_s, time_matters=confirms) else found

    def _tell(self, optuna_trial: optuna.Trial, trial: Trial) -> None:
        """Infeasible is told as a constraint, never as a score of zero.

        A config that could not be measured at all is told as failed: it says nothing.
        """
        import optuna

        if trial.state == "failed":
            self.optuna.tell(optuna_trial, state=optuna.trial.TrialState.FAIL)
            return
        for name, violation in trial.violation.items():
            optuna_trial.set_constraint(name, violation)
        self.optuna.tell(optuna_trial, trial.throughput_samples_per_s or 0.0)

    # -- the end ---------------------------------------------------------------------------

    def incumbent(self) -> choosing.Candidate | None:
        chosen = self._choose()
        return chosen.best if chosen else None

    def _choose(self) -> choosing.Choice | None:
        found = choosing.candidates(list(self.settled.values()), self._runs())
        return choosing.choose(found, self.budget, accept_disturbed=self.accept_disturbed)

    def _runs(self) -> list[Measurement]:
        return standing(self.store.measurements())

    def _in_doubt(self) -> list[tuple[Trial, list[str]]]:
        """Trials whose outcome may be the disturbed machine's, with what disturbed it."""
        if self.accept_disturbed:
            return []
        runs, longest_step_s = self._runs(), self.budget.longest_step_s
        found = ((t, in_doubt(t, runs, longest_step_s)) for t in self.settled.values())
        return [(trial, taints) for trial, taints in found if taints]

    def _outcome(self) -> Outcome:
        trials, runs = list(self.settled.values()), self._runs()
        chosen = self._choose()
        if chosen is None:
            if disturbed := self._in_doubt():
                return Outcome(None, choosing.why_disturbed(disturbed), measured=False)
            measured = any(t.state == "infeasible" for t in trials)
            return Outcome(None, choosing.why_nothing(trials, runs, self.budget), measured)
        return Outcome(self._recommendation(chosen, trials, runs), [], True)

    def _recommendation(
        self,
        chosen: choosing.Choice,
        trials: list[Trial],
        runs: list[Measurement],
    ) -> Recommendation:
        best, run, spec = chosen.best, chosen.best.run, self.spec
        failing = _lowest_failing(runs, run, self.budget.longest_step_s)
        created_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return Recommendation(
            id=self.study_id.replace("st_", "rec_", 1),
            workload=spec.scope.workload,
            budget=self.budget.name,
            device=spec.scope.device,
            config=run.config,
            batch_size=run.batch_size,
            accumulation=run.accumulation,
            cycle_batches=self.budget.cycle_batches,
            cycle_time_s=choosing.cycle_time_s(best.step_time, self.budget.cycle_batches),
            throughput_samples_per_s=best.throughput_samples_per_s,
            peak_bytes=run.peak_bytes or 0,
            limit_bytes=run.limit_bytes or 0,
            headroom=run.headroom,
            parameters=run.parameters,
            binding=best.trial.binding or "",
            explanation=choosing.explain(
                chosen, self.budget, best.trial.binding, best.trial.reason
            ),
            alternatives=[
                choosing.alternative(c, best, self.budget.cycle_batches)
                for c in chosen.alternatives
            ],
            ruled_out=[
                {"config": t.config, "state": t.state, "reason": t.reason}
                for t in trials
                if t.state != "feasible"
            ]
            + [
                {"config": c.run.config, "state": "disturbed", "reason": "; ".join(c.disturbed_by)}
                for c in chosen.left_out
            ],
            evidence={
                "highest_passing": run.to_dict(),
                "lowest_failing": failing.to_dict() if failing else None,
            },
            environment=run.environment,
            study={
                "id": self.study_id,
                "trials": len(trials),
                "pruned": sum(t.state == "pruned" for t in trials),
                "probes": len(self.store.measurements()),
                "wall_s": round(sum(t.wall_s for t in trials), 3),
                "time_scale": spec.time_scale,
                "budget": self.budget.to_dict(),
            },
            valid={
                "fingerprint": spec.scope.fingerprint,
                "workload_hash": spec.scope.workload_hash,
                "workload_options": spec.options,
                "created_at": created_at,
            },
        )

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


def settle(number: int, config: Config, answer: MaxBatch, budget: Budget, wall_s: float) -> Trial:
    """What a max-batch answer means for a study: feasible, infeasible by how much, or failed."""
    run = answer.highest_passing
    if run is not None and run.step_time is not None:
        return Trial(
            number,
            config,
            "feasible",
            answer.reason,
            batch_size=run.batch_size,
            binding=answer.binding,
            throughput_samples_per_s=run.batch_size * run.accumulation / run.step_time.mean_s,
            violation={"memory": _memory_violation(run), "time": _time_violation(run, budget)},
            probes=answer.probes,
            wall_s=wall_s,
        )
    failing = answer.lowest_failing
    unmeasured = {Verdict.CRASH, Verdict.TIMEOUT, Verdict.UNSUPPORTED}
    if failing is None or failing.verdict in unmeasured:
        return Trial(number, config, "failed", answer.reason, probes=answer.probes, wall_s=wall_s)
    return Trial(
        number,
        config,
        "infeasible",
        answer.reason,
        binding=answer.binding,
        violation={
            "memory": _memory_violation(failing),
            "time": _time_violation(failing, budget),
        },
        probes=answer.probes,
        wall_s=wall_s,
    )


def _memory_violation(run: Measurement) -> float:
    """How far above its cap, relative: below zero when it fits. At least 1 % when it failed."""
    if run.cap_bytes is None or run.cap_bytes <= 0:
        return 0.0 if run.passed else 1.0
    if run.passed:
        return (run.peak_bytes or 0) / run.cap_bytes - 1
    short = short_by_bytes(run)
    return max(0.01, (short or 0) / run.cap_bytes)


def _time_violation(run: Measurement, budget: Budget) -> float:
    if budget.longest_step_s is None or run.step_time is None:
        return -1.0
    return run.step_time.mean_s / budget.longest_step_s - 1


def _lowest_failing(
    runs: list[Measurement], best: Measurement, longest_step_s: float | None
) -> Measurement | None:
    def fails(run: Measurement) -> bool:
        slow = longest_step_s is not None and run.step_time is not None
        return not run.passed or (slow and run.step_time.mean_s > longest_step_s)  # type: ignore

    above = [
        r for r in runs if r.config == best.config and r.batch_size > best.batch_size and fails(r)
    ]
    return min(above, key=lambda r: r.batch_size, default=None)


def predictions(ask: Ask) -> list[Prediction]:
    """What the search expected of a probe, to be graded against what it gives."""
    known = (("peak_bytes", ask.peak_bytes), ("step_time_s", ask.step_time_s))
    return [Prediction(name, e.value, e.low, e.high) for name, e in known if e is not None]


def _key(config: Config) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, repr(value)) for name, value in config.items()))


def _suggest(trial: optuna.Trial, name: str, dimension: Dimension) -> Any:
    if isinstance(dimension, Int):
        return trial.suggest_int(
            name, dimension.low, dimension.high, step=dimension.step, log=dimension.log
        )
    if isinstance(dimension, Float):
        return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
    return trial.suggest_categorical(name, dimension.values())


def _open_optuna(
    study_id: str, storage: optuna.storages.BaseStorage | None, seed: int
) -> optuna.Study:
    try:
        import optuna
    except ImportError as error:
        raise MeasurementError(f"Optuna cannot be imported: {error}") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=study_id,
        storage=storage,
        sampler=optuna.samplers.TPESampler(seed=seed),
        direction="maximize",
        load_if_exists=True,
    )
