"""How often the comparison of models errs: on equal models, on planted differences, in intervals.

Each cell simulates pairs of models on games that are hard or easy for both, with correlated moves
within a game, and asks the product's own statistics. ``false positives``: equal models that a 5 %
level calls different. ``family``: comparisons of twelve tests in which Holm's correction lets any
false finding through. ``power``: planted differences that are found. ``detectable``: how often the
difference that a test calls detectable is found (it promises 80 %). ``coverage``: 95 % intervals
that hold the true difference, by our interval and by the two that are usual.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.record import write
from finetuning.comparison import statistics
from finetuning.comparison.pairing import GroupSums, PairedSums, figure_of

GROUPS = (10, 20, 40)
FAMILY = 12
RESAMPLES = 999
METHODS = ("expanded percentile", "percentile", "BCa")
GAINS: Mapping[str, Sequence[float]] = {
    "mean": (1.0, 2.0, 4.0),
    "binary": (0.04, 0.08, 0.16),
    "weighted": (0.02, 0.05, 0.1),
}


def paired(
    baseline: tuple[Any, Any], model: tuple[Any, Any], *, exponential: bool = False
) -> PairedSums:
    """Sums of both models: (sums of weight x value, sums of weights), per group."""
    (a, w), (b, v) = baseline, model
    groups = tuple(f"game-{n}" for n in range(len(a)))
    return PairedSums(
        groups,
        GroupSums(np.asarray(a, float), np.asarray(w, float), exponential),
        GroupSums(np.asarray(b, float), np.asarray(v, float), exponential),
        items=len(groups),
    )


def mean_pairs(rng: np.random.Generator, groups: int, gain: float = 0.0) -> PairedSums:
    """Scores of games: what makes a game hard moves both models; each has noise of 4 besides."""
    game = rng.gamma(4, 5, groups)
    a, b = game + rng.normal(0, 4, groups), game + gain + rng.normal(0, 4, groups)
    return paired((a, np.ones(groups)), (b, np.ones(groups)))


def binary_pairs(rng: np.random.Generator, groups: int, gain: float = 0.0) -> PairedSums:
    """Right decisions in games of 5 to 60 moves; how hard they are is the game's."""
    moves = rng.integers(5, 61, (2, groups))
    share = rng.beta(6, 3, groups)
    a = rng.binomial(moves[0], np.clip(share + rng.normal(0, 0.1, groups), 0, 1))
    b = rng.binomial(moves[1], np.clip(share + gain + rng.normal(0, 0.1, groups), 0, 1))
    return paired((a, moves[0]), (b, moves[1]))


def weighted_pairs(rng: np.random.Generator, groups: int, gain: float = 0.0) -> PairedSums:
    """Perplexities: nll per token of texts of 20 to 400 tokens; ``gain`` lowers it."""
    tokens = rng.integers(20, 401, groups)
    nll = 1.5 + rng.normal(0, 0.4, groups)
    a = (nll + rng.normal(0, 0.1, groups)) * tokens
    b = (nll - gain + rng.normal(0, 0.1, groups)) * tokens
    return paired((a, tokens), (b, tokens), exponential=True)


KINDS: Mapping[str, Callable[..., PairedSums]] = {
    "mean": mean_pairs,
    "binary": binary_pairs,
    "weighted": weighted_pairs,
}


def p_values(kind: str, groups: int, gain: float, count: int, seed: int = 0) -> list[float]:
    """Of ``count`` simulated comparisons."""
    rng = np.random.default_rng([seed, groups])
    return [
        statistics.permutation_test(
            KINDS[kind](rng, groups, gain), seed=n, resamples=RESAMPLES
        ).p_value
        for n in range(count)
    ]


def share_found(kind: str, groups: int, gain: float, count: int, seed: int = 0) -> float:
    """How many of ``count`` comparisons a 5 % level finds a difference in."""
    return float(np.mean([p <= 0.05 for p in p_values(kind, groups, gain, count, seed)]))


def family_errors(kind: str, groups: int, families: int) -> float:
    """Share of families of equal models with any finding after Holm's correction."""
    found = p_values(kind, groups, 0.0, families * FAMILY, seed=1)
    tables = [found[n : n + FAMILY] for n in range(0, len(found), FAMILY)]
    return float(np.mean([min(statistics.holm(table)) <= 0.05 for table in tables]))


def detectable_found(kind: str, groups: int, count: int) -> float | None:
    """Share found of the difference that such tests call detectable; scores only, because there
    the planted gain is the difference."""
    if kind != "mean":
        return None
    rng = np.random.default_rng(2)
    said = [statistics.detectable_difference(KINDS[kind](rng, groups)) for _ in range(100)]
    return share_found(kind, groups, float(np.mean(said)), count, seed=3)


def coverage(kind: str, groups: int, count: int) -> dict[str, float]:
    """Share of intervals that hold the true difference, which is none."""
    rng = np.random.default_rng(4)
    inside = dict.fromkeys(METHODS, 0)
    for n in range(count):
        pairs = KINDS[kind](rng, groups)
        ours = statistics.bootstrap_interval(pairs, seed=n, resamples=RESAMPLES)
        inside[METHODS[0]] += ours.low <= 0 <= ours.high
        for method in METHODS[1:]:
            low, high = usual_interval(pairs, method, n)
            inside[method] += low <= 0 <= high
    return {method: hits / count for method, hits in inside.items()}


def usual_interval(pairs: PairedSums, method: str, seed: int) -> tuple[float, float]:
    """Scipy's own interval over whole groups."""
    from scipy import stats

    a, b = (side.weighted + 1j * side.weight for side in (pairs.baseline, pairs.model))

    def difference(drawn: Any, axis: int) -> Any:
        sums = b[drawn].sum(axis), a[drawn].sum(axis)
        ours, theirs = (figure_of(s.real, s.imag, pairs.model.exponential) for s in sums)
        return ours - theirs

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = stats.bootstrap(
            (np.arange(len(a)),),
            difference,
            method=method,
            n_resamples=RESAMPLES,
            vectorized=True,
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return found.low, found.high


def main(options: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks comparison", description=__doc__)
    parser.add_argument("--comparisons", type=int, default=2_000, help="per cell")
    count = parser.parse_args(options).comparisons
    began_s = time.perf_counter()
    cells = []
    for kind in KINDS:
        for groups in GROUPS:
            cell = {
                "kind": kind,
                "groups": groups,
                "false_positives": share_found(kind, groups, 0.0, count),
                "family": family_errors(kind, groups, count // FAMILY),
                "power": {
                    str(gain): share_found(kind, groups, gain, count // 4) for gain in GAINS[kind]
                },
                "detectable": detectable_found(kind, groups, count // 4),
                "coverage": coverage(kind, groups, count // 4),
            }
            cells.append(cell)
            print(cell, flush=True)
    result = {
        "comparisons": count,
        "resamples": RESAMPLES,
        "level": 0.05,
        "worst_false_positives": max(cell["false_positives"] for cell in cells),
        "cells": cells,
        "wall_s": round(time.perf_counter() - began_s, 1),
    }
    print(f"false positives at most {result['worst_false_positives']:.1%} at a level of 5 %")
    print(f"written to {write('comparison', result)}")


if __name__ == "__main__":
    main()
