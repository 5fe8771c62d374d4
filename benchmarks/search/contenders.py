"""The methods that are compared, each a function from (grid, seed, question) to a replay."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import optuna

from benchmarks.search.grids import Grid, Question, Replay, name
from optimizer.budgets import Budget, Objective
from optimizer.known import Known
from optimizer.limits import SearchLimits
from optimizer.proposals import Sampler
from optimizer.records import Scope, StudySpec
from optimizer.study import Study
from probes.max_batch import Bounds, MaxBatchSearch, run_search
from probes.measurement import Config, Purpose
from tests.optimizer.memory_store import MemoryStore

TRIALS = 20
ORIGIN_CALLS, ORIGIN_RANDOM_CALLS = 20, 10
ORIGIN_START, ORIGIN_STEPS = 64, 20
"""The origin's prototyping mode: 20 calls of a Gaussian process, 10 of them random; batches are
doubled from 64 and bisected, 20 steps each."""

Method = Callable[[Grid, int, Question], Replay]

SAMPLERS: dict[str, Callable[[int], optuna.samplers.BaseSampler]] = {
    Sampler.TPE: lambda seed: optuna.samplers.TPESampler(seed=seed),
    Sampler.GP: lambda seed: optuna.samplers.GPSampler(seed=seed),
    Sampler.NSGA2: lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
    Sampler.RANDOM: lambda seed: optuna.samplers.RandomSampler(seed=seed),
}


def study(sampler: str) -> Method:
    """Our study with a sampler; every method but ``predictive`` measures each config to its end."""

    def run(grid: Grid, seed: int, question: Question) -> Replay:
        if question.objective is Objective.CAPACITY and sampler != Sampler.PREDICTIVE:
            return _sampled_capacity(sampler, grid, seed, question)
        replay = Replay(grid)
        longest_step_s = question.longest_step_s
        target_s = None if longest_step_s is None else longest_step_s * 450
        trials = len(grid.configs) if sampler == Sampler.GRID else TRIALS
        budget = Budget(
            "benchmark",
            target_s,
            0.0,
            trials=trials,
            throughput_loss=0.0,
            objective=question.objective,
            most_capable=False,
        )
        scope = Scope(grid.workload, "", "", "replayed", grid.cap_bytes, 0.0)
        spec = StudySpec(scope, budget, grid.space, dataset_size=grid.ceiling)
        Study(
            replace(spec, seed=seed),
            f"st_{seed}",
            MemoryStore(),
            replay,
            known=Known(sizes_of=lambda configs: [grid.size_of(c) for c in configs]),
            limits=SearchLimits(batch_cap=grid.ceiling),
            sampler=sampler,
        ).run()
        return replay

    return run


def _sampled_capacity(sampler: str, grid: Grid, seed: int, question: Question) -> Replay:
    """A plain sampler that is told the capacity of what fits, and zero for what does not; our
    probing finds the maximum batch of each config, which is measured once."""
    replay = Replay(grid)
    bounds = Bounds(cap=grid.ceiling, longest_step_s=question.longest_step_s)
    scores: dict[str, float] = {}

    def score(config: Config) -> float:
        if (known := scores.get(name(config))) is not None:
            return known
        answer = run_search(MaxBatchSearch(bounds), partial(replay, config))
        value = float(grid.parameters[name(config)]) if answer.max_batch else 0.0
        return scores.setdefault(name(config), value)

    if sampler == Sampler.GRID:
        for config in grid.configs:
            score(config)
        return replay
    search = optuna.create_study(direction="maximize", sampler=SAMPLERS[sampler](seed))
    for trial, config in _trials(search, grid, TRIALS):
        search.tell(trial, score(config))
    return replay


def _trials(
    search: optuna.Study, grid: Grid, count: int
) -> Iterator[tuple[optuna.trial.Trial, Config]]:
    for _ in range(count):
        trial = search.ask()
        yield (
            trial,
            {
                n: trial.suggest_categorical(n, d.values())  # type: ignore[union-attr]
                for n, d in grid.space.items()
            },
        )


def origin(grid: Grid, seed: int, question: Question) -> Replay:
    """Zero for what is infeasible, told as if it were a measurement."""
    replay = Replay(grid)
    sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=ORIGIN_RANDOM_CALLS)
    search = optuna.create_study(direction="maximize", sampler=sampler)
    for trial, config in _trials(search, grid, ORIGIN_CALLS):
        batch_size = _origin_batch(replay, config, question.longest_step_s)
        if question.objective is Objective.CAPACITY:
            value = float(grid.parameters[name(config)]) if batch_size else 0.0
        else:
            value = batch_size / grid.step_s(config, batch_size) if batch_size else 0.0
        search.tell(trial, value)
    return replay


def _origin_batch(replay: Replay, config: Config, longest_step_s: float | None) -> int:
    def passes(batch_size: int) -> bool:
        run = replay.run(config, batch_size, ORIGIN_STEPS, Purpose.CONFIRM)
        timing = run.step_time
        return timing is not None and (longest_step_s is None or timing.mean_s <= longest_step_s)

    batch, ceiling = min(ORIGIN_START, replay.grid.ceiling), replay.grid.ceiling
    low, high = 0, ceiling + 1
    while low < batch < high:
        if passes(batch):
            low, batch = batch, min(2 * batch, ceiling)
        else:
            high, batch = batch, (low + batch) // 2
            if low:
                break
    while low and high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if passes(middle) else (low, middle)
    return low


METHODS: dict[str, Method] = {
    "tonnage": study(Sampler.PREDICTIVE),
    "tpe": study(Sampler.TPE),
    "gp": study(Sampler.GP),
    "nsga2": study(Sampler.NSGA2),
    "random": study(Sampler.RANDOM),
    "grid": study(Sampler.GRID),
    "origin": origin,
}
