"""The chance that a config would be chosen: what to measure next, and when to stop. Pure.

The choice is made by a rule (see ``choose``), so a measurement is worth its cost only if it may
change what the rule selects. The predictors give each config a distribution of the throughput
that it would reach at its maximum batch; the rest is the expected improvement of Bayesian
optimisation (Jones, Schonlau and Welch, 1998), applied to that rule.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from optimizer.budgets import Budget, Objective
from optimizer.choose import Selection
from optimizer.predictors import Distribution, Predictors
from probes.effective_batch import accumulation
from probes.measurement import Config

WORTH = 0.02
"""A gain in throughput below this is not worth a measurement."""
BATCH_RATIO = 1.3
"""Ratio of the batch sizes at which the maximum is looked for."""


@dataclass(frozen=True)
class Edges:
    """The limits that hold for the batch size of every config of a study."""

    cap_bytes: int
    longest_step_s: float | None
    ceiling: int
    effective_batch_size: int | None = None
    data_parallel: Callable[[Config], int] = lambda config: 1
    """Number of ranks that draw different batches."""

    @property
    def longest_log_s(self) -> float:
        return math.inf if self.longest_step_s is None else math.log(self.longest_step_s)

    def samples(self, config: Config, batch_size: int) -> int:
        """Samples per optimizer step of all ranks, accumulation included."""
        ranks = self.data_parallel(config)
        if self.effective_batch_size is None:
            return ranks * batch_size * int(config.get("accumulation", 1))
        per_rank = -(-self.effective_batch_size // ranks)
        return ranks * batch_size * accumulation(per_rank, batch_size)


@dataclass(frozen=True)
class Forecast:
    """What is expected of a config."""

    config: Config
    batch_size: int
    """Its predicted maximum batch."""
    fits: float
    """Probability that it fits with the smallest batch, within the window."""
    throughput_samples_per_s: Distribution
    chance: float
    """Probability that it would be chosen, given what is known now."""
    gain: float
    """Expected gain of measuring it; comparable within one study only."""


def forecasts(
    configs: Sequence[Config],
    predictors: Predictors,
    edges: Edges,
    budget: Budget,
    selected: Selection | None,
    capacity: Callable[[Config], float],
) -> list[Forecast]:
    """One forecast per config; an empty list while too little is known."""
    time, memory = predictors.step_time_s, predictors.peak_bytes
    if time is None or memory is None or not configs:
        return []
    batches = batch_grid(edges.ceiling)
    points = [(config, batch) for config in configs for batch in batches]
    times, peaks = time.at(points), memory.at(points)
    result = []
    for i, config in enumerate(configs):
        own = slice(i * len(batches), (i + 1) * len(batches))
        result.append(
            _forecast(
                config, batches, peaks[own], times[own], edges, budget, selected, capacity(config)
            )
        )
    return result


def batch_grid(ceiling: int) -> list[int]:
    """Batch sizes from 1 to ``ceiling`` in even ratios."""
    batches = [1]
    while batches[-1] < ceiling:
        batches.append(min(ceiling, max(batches[-1] + 1, int(batches[-1] * BATCH_RATIO))))
    return batches


def _forecast(
    config: Config,
    batches: Sequence[int],
    peaks: Sequence[Distribution],
    times: Sequence[Distribution],
    edges: Edges,
    budget: Budget,
    selected: Selection | None,
    capacity: float,
) -> Forecast:
    passing = [
        (batch_size, time)
        for batch_size, peak, time in _with_edge(batches, peaks, times, edges)
        if peak <= math.log(edges.cap_bytes) and time.log_mean <= edges.longest_log_s
    ]
    batch_size, time = max(
        passing or [(batches[0], times[0])],
        key=lambda known: math.log(edges.samples(config, known[0])) - known[1].log_mean,
    )
    fits = 1 - peaks[0].above(edges.cap_bytes)
    if edges.longest_step_s is not None:
        fits *= 1 - times[0].above(edges.longest_step_s)
    samples = edges.samples(config, batch_size)
    throughput = Distribution(math.log(samples) - time.log_mean, time.log_std)
    chance, gain = _worth(throughput, capacity, budget, selected)
    return Forecast(config, batch_size, fits, throughput, fits * chance, fits * gain)


def _with_edge(
    batches: Sequence[int],
    peaks: Sequence[Distribution],
    times: Sequence[Distribution],
    edges: Edges,
) -> Iterator[tuple[int, float, Distribution]]:
    """(batch, logarithm of its peak, its time): those of the grid, and one just below where memory
    or time reaches its limit between two of them."""
    cap, longest = math.log(edges.cap_bytes), edges.longest_log_s
    for k, batch_size in enumerate(batches):
        yield batch_size, peaks[k].log_mean, times[k]
        if k + 1 == len(batches):
            return
        share = min(
            _share(peaks[k].log_mean, peaks[k + 1].log_mean, cap),
            _share(times[k].log_mean, times[k + 1].log_mean, longest),
        )
        between = int(batch_size * (batches[k + 1] / batch_size) ** share)
        if batch_size < between < batches[k + 1]:
            time = times[k].log_mean + share * (times[k + 1].log_mean - times[k].log_mean)
            peak = peaks[k].log_mean + share * (peaks[k + 1].log_mean - peaks[k].log_mean)
            spread = max(times[k].log_std, times[k + 1].log_std)
            yield between, min(peak, cap), Distribution(min(time, longest), spread)


def _share(low: float, high: float, limit: float) -> float:
    """How much of the way from ``low`` to ``high`` is within the limit: 0 to 1."""
    if high <= limit:
        return 1.0
    return max(0.0, (limit - low) / (high - low)) if low < limit else 0.0


def _worth(
    throughput: Distribution, capacity: float, budget: Budget, selected: Selection | None
) -> tuple[float, float]:
    """(chance of being chosen, expected gain) of a config that fits."""
    if selected is None:
        return 1.0, throughput.median
    if budget.objective is Objective.PARETO:
        rivals = [c for c in selected.front if c.capacity >= capacity]
        level = max((c.throughput_samples_per_s for c in rivals), default=0.0)
        return throughput.above(level * (1 + WORTH)), _improvement(throughput, level)
    fastest = selected.fastest.throughput_samples_per_s
    chance, gain = throughput.above(fastest * (1 + WORTH)), _improvement(throughput, fastest)
    if capacity > selected.best.capacity > 0:
        near = throughput.above(fastest * (1 - budget.throughput_loss))
        chance = max(chance, near)
        gain += near * budget.throughput_loss * math.log(capacity / selected.best.capacity)
    return chance, gain


def _improvement(throughput: Distribution, level: float) -> float:
    """Expected improvement of the logarithm over ``level``."""
    if level <= 0:
        return throughput.median
    spread = throughput.log_std
    z = (throughput.log_mean - math.log(level)) / spread
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return spread * (z * 0.5 * math.erfc(-z / math.sqrt(2)) + density)
