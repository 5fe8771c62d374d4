"""Optuna's samplers on a study that is replayed from settled trials. Imports Optuna."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from optimizer.records import Trial
from probes.measurement import Config
from probes.space import Dimension, Float, Int, Space

POPULATION = 50
"""Trials per generation of NSGA-II; it draws the first generation at random."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


def build(name: str, seed: int) -> BaseSampler:
    """A fresh sampler: ``gp``, ``nsga2``, ``random``, else TPE.

    Raises ``ImportError`` for ``gp`` without torch.
    """
    if name == "gp":
        return GPSampler(seed=seed)
    if name == "nsga2":
        return ReplayedNSGAII(seed=seed, population_size=POPULATION)
    if name == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed)


def replayed(
    sampler: BaseSampler, space: Space, trials: Sequence[Trial], busy: Sequence[Config]
) -> optuna.Study:
    """A study in memory with these settled trials; busy configs are running trials."""
    distributions = _distributions(space)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for trial in trials:
        study.add_trial(_frozen(trial, distributions))
    for config in busy:
        study.add_trial(
            create_trial(state=TrialState.RUNNING, params=config, distributions=distributions)
        )
    return study


def draw(study: optuna.Study, space: Space) -> Iterator[Config]:
    """An endless series of proposals. One that is not taken up is a failed trial for the next."""
    distributions = _distributions(space)
    while True:
        trial = study.ask(distributions)
        yield {name: trial.params[name] for name in space}
        study.tell(trial, state=TrialState.FAIL)


class ReplayedNSGAII(NSGAIISampler):
    """NSGA-II for a study that is replayed: the generation of a trial follows from its place.

    Optuna notes the generation in each trial that it is asked for, which replayed trials were not.
    """

    def get_trial_generation(self, study: optuna.Study, trial: FrozenTrial) -> int:
        earlier = [t for t in _complete(study) if t.number < trial.number]
        return len(earlier) // POPULATION

    def get_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        first = generation * POPULATION
        return _complete(study)[first : first + POPULATION]


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _frozen(trial: Trial, distributions: dict[str, BaseDistribution]) -> FrozenTrial:
    """Infeasible is a violated constraint, never a score of zero. A config that could not be
    measured, or was left after a few steps, is a failed trial: it has no score."""
    if trial.state in ("failed", "screened"):
        return create_trial(state=TrialState.FAIL, params=trial.config, distributions=distributions)
    return create_trial(
        value=trial.throughput_samples_per_s or 0.0,
        params=trial.config,
        distributions=distributions,
        constraints=trial.violation,
    )


def _distributions(space: Space) -> dict[str, BaseDistribution]:
    return {name: _distribution(dimension) for name, dimension in space.items()}


def _distribution(dimension: Dimension) -> BaseDistribution:
    if isinstance(dimension, Int):
        return IntDistribution(
            dimension.low, dimension.high, step=dimension.step, log=dimension.log
        )
    if isinstance(dimension, Float):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return CategoricalDistribution(dimension.values())
