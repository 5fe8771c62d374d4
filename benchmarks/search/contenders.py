"""The methods that are compared, each a function from (grid, seed, window) to a replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import optuna

from benchmarks.search.grids import Grid, Replay
from optimizer.budgets import Budget
from optimizer.known import Known
from optimizer.limits import SearchLimits
from optimizer.proposals import Sampler
from optimizer.records import Scope, StudySpec
from optimizer.study import Study
from probes.measurement import Config, Purpose
from tests.optimizer.memory_store import MemoryStore

TRIALS = 20
ORIGIN_CALLS, ORIGIN_RANDOM_CALLS = 20, 10
ORIGIN_START, ORIGIN_STEPS = 64, 20
"""The origin's prototyping mode: 20 calls of a Gaussian process, 10 of them random; batches are
doubled from 64 and bisected, 20 steps each."""

Method = Callable[[Grid, int, float | None], Replay]


def study(sampler: str) -> Method:
    """Our study with a sampler; every method but ``predictive`` measures each config to its end."""

    def run(grid: Grid, seed: int, longest_step_s: float | None) -> Replay:
        replay = Replay(grid)
        target_s = None if longest_step_s is None else longest_step_s * 450
        trials = len(grid.configs) if sampler == "grid" else TRIALS
        budget = Budget("benchmark", target_s, 0.0, trials, throughput_loss=0.0, most_capable=False)
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


def origin(grid: Grid, seed: int, longest_step_s: float | None) -> Replay:
    """Zero for what is infeasible, told as if it were a measurement."""
    replay = Replay(grid)
    sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=ORIGIN_RANDOM_CALLS)
    search = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(ORIGIN_CALLS):
        trial = search.ask()
        config = {
            n: trial.suggest_categorical(n, d.values())  # type: ignore[union-attr]
            for n, d in grid.space.items()
        }
        search.tell(trial, _origin_score(replay, config, longest_step_s))
    return replay


def _origin_score(replay: Replay, config: Config, longest_step_s: float | None) -> float:
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
    return low / replay.grid.step_s(config, low) if low else 0.0


METHODS: dict[str, Method] = {
    "tonnage": study(Sampler.PREDICTIVE),
    "tpe": study(Sampler.TPE),
    "gp": study(Sampler.GP),
    "nsga2": study(Sampler.NSGA2),
    "random": study(Sampler.RANDOM),
    "grid": study(Sampler.GRID),
    "origin": origin,
}
