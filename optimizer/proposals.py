"""Which config one of Optuna's samplers proposes next, given the settled trials of a study."""

from __future__ import annotations

import random
from collections.abc import Collection
from enum import StrEnum
from itertools import islice

from optimizer.records import Trial, config_key
from optimizer.spaces import contains
from probes.errors import InputError, MeasurementError
from probes.measurement import Config
from probes.space import Space, grid, unknown_name

REPEATS_ALLOWED = 8
"""Proposals of configs that are taken, in a row, before one is drawn from those that are left."""


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
    """Asks a sampler for a config that is not taken.

    Nothing is kept between two proposals: each is made by a fresh Optuna study in memory, to which
    the settled trials are added. The sampler's seed is derived from ``seed`` and the number of
    settled trials. So the same trials give the same proposal, before and after a restart and in
    every process that works on the study.

    Raises ``InputError`` for an unknown sampler, or for one that does not work here.

    Example::

        proposals = Proposals(space, seed=0, sampler="tpe")
        config = proposals.propose(settled_trials, busy=[])
    """

    def __init__(self, space: Space, seed: int, sampler: str = Sampler.PREDICTIVE) -> None:
        if sampler not in list(Sampler):
            raise InputError(unknown_name("sampler", sampler, Sampler))
        if sampler == Sampler.GRID and grid(space) is None:
            raise InputError("--sampler grid needs a finite space; give every Float as a list.")
        self._space = space
        self._seed = seed
        self._sampler = Sampler(sampler)
        if sampler == Sampler.GP:
            self._check_gp()

    def propose(self, trials: Collection[Trial], busy: Collection[Config]) -> Config | None:
        """The next config; ``None`` when nothing new comes up.

        ``trials`` are all settled trials, ``busy`` the configs that other processes are settling.
        """
        taken = {config_key(trial.config) for trial in trials} | {config_key(c) for c in busy}
        if self._sampler == Sampler.GRID:
            # In the order of the space. Optuna's own grid sampler ends the study by itself, which
            # is not possible for a study that is asked and told.
            return next((c for c in grid(self._space) or () if config_key(c) not in taken), None)
        try:
            from optimizer import samplers
        except ImportError as error:
            raise MeasurementError(f"Optuna cannot be imported: {error}") from None
        known = [trial for trial in trials if contains(self._space, trial.config)]
        study = samplers.replayed(
            samplers.build(self._sampler, self._seed_after(len(trials))),
            self._space,
            sorted(known, key=lambda trial: trial.number),
            [config for config in busy if contains(self._space, config)],
        )
        drawn = islice(samplers.draw(study, self._space), REPEATS_ALLOWED)
        new = (config for config in drawn if config_key(config) not in taken)
        return next(new, None) or self._unseen(taken)

    def _seed_after(self, settled: int) -> int:
        return random.Random(f"{self._seed}-{settled}").getrandbits(32)

    def _unseen(self, taken: Collection[object]) -> Config | None:
        """The sampler repeats itself: draw from the configs that are not taken."""
        unseen = [c for c in grid(self._space) or () if config_key(c) not in taken]
        return random.Random(f"{self._seed}-{len(unseen)}").choice(unseen) if unseen else None

    def _check_gp(self) -> None:
        from optimizer import samplers

        try:
            samplers.build(Sampler.GP, self._seed)
        except ImportError:
            raise InputError("--sampler gp needs torch in Tonnage's own environment.") from None
