"""What a comparison found, as plain data that round-trips through JSON.

Standard library only, so that a service can read and show a stored comparison.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

from finetuning.evaluation.metrics import Direction
from probes.errors import InputError
from probes.formatting import finite

FORMAT = 1
"""Of the JSON document; raised when a key changes its meaning."""


class Finding(str, Enum):
    """What one test says of a model beside its baseline."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no_difference_found"
    EQUAL = "equal"
    """Both models have the same value on every item."""
    CANNOT_TELL = "cannot_tell"


class ContrastKind(str, Enum):
    """What two runs differ in, according to their settings."""

    ABLATION = "ablation"
    """One setting."""
    STRATEGY = "strategy"
    """The strategy, and nothing else that both of them use."""
    REPEAT = "repeat"
    """The seed only, or nothing."""
    SEVERAL = "several"
    """More than one setting: a difference cannot be attributed to any of them."""
    TRAINED = "trained"
    """A run, and the baseline that was evaluated with it."""
    UNKNOWN = "unknown"
    """One of them has no settings."""


@dataclass(frozen=True)
class ComparedRun:
    """A model that was compared. What is not known is none."""

    name: str
    folder: str
    base_model: str | None = None
    strategy: str | None = None
    preset: str | None = None


@dataclass(frozen=True)
class SettingDifference:
    """A setting that two runs do not share, as text."""

    setting: str
    baseline: str
    model: str


@dataclass(frozen=True)
class Contrast:
    """Which settings tell two runs apart."""

    baseline: str
    model: str
    kind: ContrastKind
    differing: tuple[SettingDifference, ...]
    text: str
    """One sentence."""


@dataclass(frozen=True)
class ModelFigure:
    """A metric of one model on one task, over all items or over those of one source.

    The interval is a bootstrap over whole groups, at the comparison's confidence. It describes this
    model alone; whether two models differ is not read from two such intervals.
    """

    model: str
    task: str
    metric: str
    source: str | None
    value: float | None
    low: float | None
    high: float | None
    items: int
    groups: int
    unit: str
    direction: Direction


@dataclass(frozen=True)
class GroupPair:
    """The weighted mean of one group (one game, say) under both models; for charts."""

    group: str
    baseline: float
    model: float


@dataclass(frozen=True)
class PairedTest:
    """One metric of one model beside its baseline, on the items that both have."""

    task: str
    metric: str
    source: str | None
    baseline: str
    model: str
    direction: Direction
    unit: str
    noun: str
    """What a group is called, in the singular: ``game``, ``item``, ``group``."""
    finding: Finding
    baseline_value: float | None
    model_value: float | None
    difference: float | None
    """``model_value - baseline_value``, in the metric's unit."""
    low: float | None
    high: float | None
    """Bootstrap interval of the difference: this test's own, not corrected."""
    p_value: float | None
    """Two-sided; none where there are too few groups to test."""
    p_adjusted: float | None
    """After Holm's correction over all tests of the comparison."""
    exact: bool
    """Whether every permutation was counted, rather than a random sample of them."""
    effect_size: float | None
    """Cohen's d for pairs, of the groups' means; none where all groups differ by one amount."""
    effect_low: float | None
    effect_high: float | None
    detectable: float | None
    """The smallest difference that this test shows with 80 % probability, from the spread seen."""
    items: int
    groups: int
    unpaired: int
    """Items that only one of the models has; left out."""
    unusable: int
    """Items without a finite value or with a weight below zero; left out."""
    reason: str
    """Why it cannot be told; empty where it can."""
    sentence: str
    pairs: tuple[GroupPair, ...]
    """Groups, or an even choice of them where there are very many."""


@dataclass(frozen=True)
class Comparison:
    """Several models on the same items: their figures, the tests between them, and what they mean.

    ``level``: the share of false findings that all tests together may have (family-wise error).
    ``confidence``: of every interval. ``tests_corrected``: tests that Holm's correction covers.
    """

    runs: tuple[ComparedRun, ...]
    baseline: str | None
    """None: every pair of runs was tested."""
    level: float
    confidence: float
    resamples: int
    seed: int
    tests_corrected: int
    contrasts: tuple[Contrast, ...]
    figures: tuple[ModelFigure, ...]
    tests: tuple[PairedTest, ...]
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    """What was left out, and why."""

    def to_plain(self) -> dict[str, Any]:
        """JSON-ready; NaN and infinity become null."""
        plain: dict[str, Any] = finite(asdict(self))
        return {"format": FORMAT, **plain}

    def to_json(self) -> str:
        """One JSON document."""
        return json.dumps(self.to_plain(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Comparison:
        """Back from ``to_plain``. Raises ``InputError`` for anything else."""
        if plain.get("format") != FORMAT:
            raise InputError(
                f"This comparison has format {plain.get('format')!r}; this version reads {FORMAT}. "
                "Compare the runs again."
            )
        rest = {name: value for name, value in plain.items() if name != "format"}
        try:
            comparison: Comparison = _built(cls, rest)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise InputError(f"This is not a comparison: {error}.") from error
        return comparison


def _built(hint: Any, value: Any) -> Any:
    """A value of the annotated kind, from plain JSON."""
    origin = typing.get_origin(hint)
    if origin is tuple:
        return tuple(_built(typing.get_args(hint)[0], one) for one in value)
    if is_dataclass(hint) and isinstance(hint, type):
        hints = typing.get_type_hints(hint)
        known = {one.name for one in fields(hint)}
        unknown = set(value) - known
        if unknown:
            raise ValueError(f"unknown key {sorted(unknown)[0]!r}")
        return hint(**{name: _built(hints[name], one) for name, one in value.items()})
    if isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    return value
