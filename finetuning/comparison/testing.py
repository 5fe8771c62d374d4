"""All tests of one comparison: each by itself, then corrected for all of them together."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from finetuning.comparison import statistics
from finetuning.comparison.pairing import PairedSums
from finetuning.comparison.result import Finding, GroupPair, PairedTest
from finetuning.comparison.sentences import sentence
from finetuning.evaluation.metrics import Direction, Metric
from probes.formatting import plural

MOST_PAIRS = 300
"""Groups of one test that a chart shows."""


@dataclass(frozen=True)
class Method:
    """How tests are made. ``level``: the family-wise error of all of them together."""

    seed: int = 0
    level: float = statistics.LEVEL
    resamples: int = statistics.RESAMPLES

    def stream(self, *names: str | None) -> tuple[int, int]:
        """The seed of a test's own random numbers, so that one more test changes no other."""
        return self.seed, zlib.crc32(repr(names).encode())


@dataclass(frozen=True)
class Question:
    """Does this metric differ between two models? With the rows to tell it from."""

    task: str
    metric: Metric
    source: str | None
    baseline: str
    model: str
    noun: str
    pairs: PairedSums


def answers(questions: Sequence[Question], method: Method) -> list[PairedTest]:
    """One test per question, with Holm's correction over all that have a p-value.

    A test's ``detectable`` is computed at ``level / tests``, which the first test of Holm's order
    must reach: nobody knows in advance which test comes first.
    """
    p_values = [_permuted(question, method) for question in questions]
    made = [p.p_value for p in p_values if p is not None]
    adjusted = iter(statistics.holm(made, method.level))
    tests = []
    for question, p in zip(questions, p_values):
        test = _described(question, method)
        if p is not None:
            test = replace(
                test,
                p_value=p.p_value,
                p_adjusted=next(adjusted),
                exact=p.exact,
                detectable=_finite(
                    statistics.detectable_difference(question.pairs, level=method.level / len(made))
                ),
            )
        test = _concluded(test, question.pairs, len(made), method.level)
        said = sentence(test, tests=len(made), level=method.level, confidence=statistics.CONFIDENCE)
        tests.append(replace(test, sentence=said))
    return tests


def _permuted(question: Question, method: Method) -> statistics.PermutationTest | None:
    """The test; none where there are too few groups, or no finite difference."""
    pairs = question.pairs
    if len(pairs.groups) < statistics.FEWEST_GROUPS or not math.isfinite(pairs.difference()):
        return None
    return statistics.permutation_test(
        pairs, seed=_stream(question, method), resamples=method.resamples
    )


def _described(question: Question, method: Method) -> PairedTest:
    """Everything about a test but its p-value and what follows from it."""
    pairs, metric = question.pairs, question.metric
    groups = len(pairs.groups)
    interval = statistics.bootstrap_interval(
        pairs, seed=_stream(question, method), resamples=method.resamples
    )
    effect = statistics.effect_size(pairs)
    return PairedTest(
        task=question.task,
        metric=metric.name,
        source=question.source,
        baseline=question.baseline,
        model=question.model,
        direction=metric.direction,
        unit=metric.unit,
        noun=question.noun,
        finding=Finding.CANNOT_TELL,
        baseline_value=_finite(pairs.baseline.figure()),
        model_value=_finite(pairs.model.figure()),
        difference=_finite(interval.value),
        low=_finite(interval.low),
        high=_finite(interval.high),
        p_value=None,
        p_adjusted=None,
        exact=False,
        effect_size=_finite(effect.value),
        effect_low=_finite(effect.low),
        effect_high=_finite(effect.high),
        detectable=None,
        items=pairs.items,
        groups=groups,
        unpaired=pairs.unpaired,
        unusable=pairs.unusable,
        reason="",
        sentence="",
        pairs=_shown(pairs),
    )


def _concluded(test: PairedTest, pairs: PairedSums, tests: int, level: float) -> PairedTest:
    """The test with its finding, and with the reason where it cannot be told."""
    if pairs.identical and pairs.groups:
        return replace(test, finding=Finding.EQUAL)
    reason = _reason(test, tests, level)
    if reason:
        return replace(test, finding=Finding.CANNOT_TELL, reason=reason)
    assert test.p_adjusted is not None and test.difference is not None
    if test.p_adjusted > level:
        return replace(test, finding=Finding.NO_DIFFERENCE)
    is_better = (test.difference > 0) == (test.direction is Direction.HIGHER)
    return replace(test, finding=Finding.BETTER if is_better else Finding.WORSE)


def _reason(test: PairedTest, tests: int, level: float) -> str:
    """Why nothing can be told; empty where it can."""
    there = f"{'is' if test.groups == 1 else 'are'} {plural(test.groups, test.noun)}"
    if test.groups == 0:
        return "No item has a usable value under both models."
    if test.groups < statistics.FEWEST_GROUPS:
        return (
            f"There {there}; at least {statistics.FEWEST_GROUPS} are needed, because with fewer "
            "no outcome is surprising enough."
        )
    if test.difference is None:
        return "The figure of at least one of the models is not a finite number."
    not_found = test.p_adjusted is None or test.p_adjusted > level
    if not_found and statistics.smallest_p(test.groups) * tests > level:
        return (
            f"There {there}; for one of {plural(tests, 'test')} to reach the level of {level:g} at "
            f"all, at least {statistics.groups_needed(tests, level)} are needed."
        )
    return ""


def _shown(pairs: PairedSums) -> tuple[GroupPair, ...]:
    """Every group's mean under both models, or an even choice of ``MOST_PAIRS`` of them."""
    step = max(1, math.ceil(len(pairs.groups) / MOST_PAIRS))
    means = zip(pairs.groups, pairs.baseline.means(), pairs.model.means())
    return tuple(
        GroupPair(name, float(f"{a:.6g}"), float(f"{b:.6g}")) for name, a, b in [*means][::step]
    )


def _stream(question: Question, method: Method) -> tuple[int, int]:
    q = question
    return method.stream(q.task, q.metric.name, q.source, q.baseline, q.model)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
