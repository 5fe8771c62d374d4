"""Optuna at work: which config a sampler proposes next, and what it is told of it."""

from __future__ import annotations

import random
from collections.abc import Container, Iterator, Sequence
from contextlib import suppress
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from optimizer.records import Trial, config_key
from probes.errors import InputError, MeasurementError
from probes.measurement import Config
from probes.space import Dimension, Float, Int, Space, grid, size, unknown_name

if TYPE_CHECKING:
    import optuna

REPEATS_ALLOWED = 8
"""Proposals of already settled configs in a row before one is drawn from what is left."""


class Sampler(StrEnum):
    """What proposes configs."""

    PREDICTIVE = "predictive"
    """The study's own predictors, and Optuna's TPE where they know too little."""
    TPE = "tpe"
    GP = "gp"
    NSGA2 = "nsga2"
    RANDOM = "random"
    GRID = "grid"


class Proposals:
    """Asks Optuna for configs and tells it how they were settled.

    ``storage`` is an Optuna storage; the same one and the same ``study_id`` go on where they were.
    ``first`` are configs to begin with; those that the space does not have are left out.
    """

    def __init__(
        self,
        study_id: str,
        space: Space,
        trials: int,
        seed: int,
        *,
        sampler: str = Sampler.PREDICTIVE,
        storage: optuna.storages.BaseStorage | None = None,
        first: Sequence[Config] = (),
    ) -> None:
        self.space = space
        self.trials = trials
        self.seed = seed
        self.first = first
        self.sampler = sampler
        self._optuna = _open_optuna(study_id, storage, _sampler(sampler, space, seed))

    @property
    def planned(self) -> int:
        """How many different configs are settled at most."""
        total = size(self.space)
        return self.trials if total is None else min(self.trials, total)

    def next(
        self, taken: Container[Any], busy: Container[Any], favourite: Config | None = None
    ) -> tuple[optuna.Trial, Config] | None:
        """A trial to evaluate: what a killed run left behind, what was enqueued, the predictors'
        ``favourite``, else what the sampler asks for. ``None`` when nothing new comes up. ``taken``
        are the keys of settled configs and of those that other processes are at (``busy``)."""
        for left in self._left_behind(busy):
            return left
        for repeat in range(REPEATS_ALLOWED + 2):
            wanted = favourite or self._next_of_grid(taken)
            if wanted is None and repeat >= REPEATS_ALLOWED:
                wanted = self._unseen(taken)
            if wanted is not None and not self._enqueued():
                self._optuna.enqueue_trial(wanted)
            trial = self._optuna.ask()
            config = self._config(trial)
            if config is None:
                continue
            if config_key(config) not in taken:
                return trial, config
            self._discard(trial)
        return None

    def enqueue_first(self) -> None:
        """What is measured first: what is known to be good elsewhere, then the ends of the space.
        Only in a new study."""
        if self._optuna.get_trials(deepcopy=False):
            return
        configs = grid(self.space)
        ends = [configs[0], configs[-1]] if configs else []
        queued: set[Any] = set()
        for config in [*(c for c in self.first if self._has(c)), *ends]:
            if config_key(config) not in queued:
                queued.add(config_key(config))
                self._optuna.enqueue_trial(config)

    def tell(self, optuna_trial: optuna.Trial, trial: Trial) -> None:
        """Infeasible is told as a constraint, never as a score of zero.

        A config that could not be measured at all, or was left after a few steps, is told as
        failed: it has no score. What another process has told already stays.
        """
        import optuna

        if trial.state in ("failed", "screened"):
            self._discard(optuna_trial)
            return
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            for name, violation in trial.violation.items():
                optuna_trial.set_constraint(name, violation)
            value = trial.throughput_samples_per_s or 0.0
            self._optuna.tell(optuna_trial, value, skip_if_finished=True)

    def _next_of_grid(self, taken: Container[Any]) -> Config | None:
        """In the order of the space. (Optuna's own grid sampler ends the study itself, which a
        study that is asked and told cannot have.)"""
        configs = grid(self.space) if self.sampler == Sampler.GRID else None
        return next((c for c in configs or () if config_key(c) not in taken), None)

    def _left_behind(self, busy: Container[Any]) -> Iterator[tuple[optuna.Trial, Config]]:
        """What was asked for and never told, by a process that may live: who claims the config
        first has it. Left out is what lacks its values yet, unless they are fixed: two processes
        would draw different ones."""
        import optuna

        running = self._optuna.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,))
        for left in running:
            if left.params.keys() == self.space.keys() or "fixed_params" in left.system_attrs:
                trial = optuna.trial.Trial(self._optuna, left._trial_id)
                config = self._config(trial)
                if config is not None and config_key(config) not in busy:
                    yield trial, config

    def waiting(self, busy: Container[Any] = ()) -> bool:
        """Whether there are configs to take up that a killed run left, or that were enqueued."""
        return self._enqueued() or next(self._left_behind(busy), None) is not None

    def _enqueued(self) -> bool:
        import optuna

        states = (optuna.trial.TrialState.WAITING,)
        return bool(self._optuna.get_trials(deepcopy=False, states=states))

    def _discard(self, trial: optuna.Trial) -> None:
        import optuna

        failed = optuna.trial.TrialState.FAIL
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._optuna.tell(trial, state=failed, skip_if_finished=True)

    def _unseen(self, taken: Container[Any]) -> Config | None:
        """The sampler goes round in circles: draw from the configs nobody has measured."""
        configs = grid(self.space)
        if configs is None:
            return None
        unseen = [config for config in configs if config_key(config) not in taken]
        return random.Random(f"{self.seed}-{len(unseen)}").choice(unseen) if unseen else None

    def _has(self, config: Config) -> bool:
        return config.keys() == self.space.keys() and all(
            dimension.low <= config[name] <= dimension.high
            if isinstance(dimension, Float)
            else config[name] in dimension.values()
            for name, dimension in self.space.items()
        )

    def _config(self, trial: optuna.Trial) -> Config | None:
        """``None`` where another process has taken it for left behind, and told it meanwhile."""
        import optuna

        try:
            return {name: _suggest(trial, name, d) for name, d in self.space.items()}
        except optuna.exceptions.UpdateFinishedTrialError:
            return None


def _suggest(trial: optuna.Trial, name: str, dimension: Dimension) -> Any:
    if isinstance(dimension, Int):
        return trial.suggest_int(
            name, dimension.low, dimension.high, step=dimension.step, log=dimension.log
        )
    if isinstance(dimension, Float):
        return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)
    return trial.suggest_categorical(name, dimension.values())


def _sampler(name: str, space: Space, seed: int) -> optuna.samplers.BaseSampler:
    """Raises ``InputError`` for an unknown name or one that cannot work here."""
    import optuna

    samplers = optuna.samplers
    if name == "gp":
        try:
            return samplers.GPSampler(seed=seed)
        except ImportError:
            raise InputError("--sampler gp needs torch in Tonnage's own environment.") from None
    if name == "grid":
        if grid(space) is None:
            raise InputError("--sampler grid needs a finite space; give every Float as a list.")
        return samplers.RandomSampler(seed=seed)  # only asked for what is enqueued
    if name == "nsga2":
        return samplers.NSGAIISampler(seed=seed)
    if name == "random":
        return samplers.RandomSampler(seed=seed)
    if name in ("predictive", "tpe"):
        return samplers.TPESampler(seed=seed)
    raise InputError(unknown_name("sampler", name, Sampler))


def _open_optuna(
    study_id: str,
    storage: optuna.storages.BaseStorage | None,
    sampler: optuna.samplers.BaseSampler,
) -> optuna.Study:
    try:
        import optuna
    except ImportError as error:
        raise MeasurementError(f"Optuna cannot be imported: {error}") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(
        study_name=study_id,
        storage=storage,
        sampler=sampler,
        direction="maximize",
        load_if_exists=True,
    )
